import { unique } from '../kit/jobs/prepare-job.ts'
import type { Notice, Plan } from '../kit/plan/plan.ts'
import { claimedDevices } from './instance-devices.ts'
import { instanceRequest, profilesOf } from './instance.ts'
import type { IncusOptions } from './options.ts'
import { volumeRequests } from './pod-volumes.ts'
import type { IncusConnection } from './rest/index.ts'
import { diskNotices, disksOf, type PodDisks, type Pool } from './root-disk.ts'
import { isSplit, partPlan, splitNotices } from './split-plan.ts'

const mark = '<mark>'
/** That of a server which does not answer. */
const somePool: Pool = { name: 'POOL', holdsSizes: true }

interface Seen {
  readonly notices: readonly Notice[]
  readonly shown: readonly { readonly title: string; readonly text: string }[]
}

/** What Incus would be asked for, and what it will not hold; without the server, that is not known. */
export async function seenInstances(
  incus: IncusConnection,
  plan: Plan,
  options: IncusOptions
): Promise<Seen> {
  const parts = isSplit(plan) ? plan.containers.map((container) => partPlan(plan, container)) : [plan]
  const seen = await Promise.all(
    parts.map(async (part) => {
      const known = await disksOf(incus, part, profilesOf(part, options)).catch(() => undefined)
      const disks: PodDisks = known ?? { pool: somePool }
      const request = instanceRequest(part, mark, options, disks)
      const devices = { ...request.devices, ...claimedDevices(part) }
      return {
        pool: disks.pool,
        notices: known ? diskNotices(part, known) : [],
        shown: show('/1.0/instances', { ...request, devices })
      }
    })
  )
  const pool = seen.find(({ pool }) => pool)?.pool ?? somePool
  return {
    // Of a directory that they share all say the same.
    notices: unique([...splitNotices(plan), ...seen.flatMap(({ notices }) => notices)]),
    shown: [
      ...volumeRequests(plan, mark, pool).map(({ path, json }) => show(path, json)),
      ...seen.map(({ shown }) => shown)
    ]
  }
}

const show = (path: string, body: object) => ({ title: `POST ${path}`, text: JSON.stringify(body, null, 2) })
