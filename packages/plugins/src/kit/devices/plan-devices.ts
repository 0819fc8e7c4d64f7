import { refusalForEver, victimsFor, withoutHeld, type Deciding } from './decide.ts'
import { wishOf } from './device-request.ts'
import type { DeviceRequest } from './lease.ts'
import { planQueue } from './plan-queue.ts'
import { planRepartition, type Repartition } from './repartition.ts'

/** What would happen to one request if it were bound now: it has devices, or this is in its way. */
export interface PlannedRequest {
  readonly uid: string
  readonly devices?: readonly {
    readonly card: string
    readonly host: string
    readonly resource: string
    readonly start: number
  }[]
  /** Why it may not be served, now or ever. */
  readonly refusal?: string
  /** Who would be told to go. */
  readonly preemptions?: readonly {
    readonly uid: string
    readonly project: string
    readonly message: string
  }[]
  /** What idle cards would have to become; handed to `repartition` it is done. */
  readonly repartition?: readonly Repartition[]
}

export interface DevicePlan {
  readonly requests: readonly PlannedRequest[]
  /** No placement could serve more of them than this. */
  readonly bound: number
}

export function planFor(deciding: Deciding, requests: readonly DeviceRequest[]): DevicePlan {
  const { state, policy, view } = deciding
  const refusals = requests.map(
    (request) => refusalForEver(deciding, request) ?? policy.refuse(request, view)?.reason
  )
  const admitted = requests.filter((_, index) => refusals[index] === undefined)
  const wishes = admitted.map((request) => wishOf(request, policy, view))
  const { placed, bound } = withoutHeld(state, undefined, view.now, (pool) => planQueue(pool, wishes))
  return {
    bound,
    requests: requests.map((request, index): PlannedRequest => {
      const { uid } = request
      const refusal = refusals[index]
      if (refusal !== undefined) return { uid, refusal }
      const at = admitted.indexOf(request)
      const devices = placed[at]?.map(({ card, placement: { resource, start } }) => ({
        card: card.id,
        host: card.host,
        resource,
        start
      }))
      if (devices) return { uid, devices }
      const victims = victimsFor(deciding, request)
      const repartition = withoutHeld(state, uid, view.now, (pool) => planRepartition(pool, wishes[at]!))
      return {
        uid,
        ...(victims
          ? {
              preemptions: victims.map(({ lease, message }) => ({
                uid: lease.request.uid,
                project: lease.request.project,
                message
              }))
            }
          : {}),
        ...(repartition && repartition.length > 0 ? { repartition } : {})
      }
    })
  }
}
