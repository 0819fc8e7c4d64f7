import { fragmentation, freeParts } from './best-fit.ts'
import type { DeviceState } from './device-state.ts'
import type { Lease } from './lease.ts'
import { roomFor } from './one-card.ts'
import { shapeOf } from './shape.ts'

export interface CardStatus {
  readonly id: string
  readonly host: string
  readonly model: string
  readonly owner?: string
  readonly sharing: string
  readonly parts: number
  readonly free: number
  /** 0 to 1: the share of what is free that the next request cannot use. */
  readonly fragmentation: number
  readonly drained?: string
  readonly holders: readonly { readonly uid: string; readonly project: string; readonly resource: string }[]
}

export interface BrokerStatus {
  readonly cards: readonly CardStatus[]
  /** How many of a resource there could be at most, and how many can be had now; they take room from each other. */
  readonly resources: Readonly<Record<string, { readonly most: number; readonly free: number }>>
  readonly leases: readonly Lease[]
  /** UIDs that found no room. */
  readonly waiting: readonly string[]
  /** Over all cards that have something free. */
  readonly fragmentation: number
}

export function statusOf(deviceState: DeviceState, waiting: readonly Lease[]): BrokerStatus {
  const { pool, ledger } = deviceState
  const resources: Record<string, { most: number; free: number }> = {}
  const cards = [...pool.cards()].map(({ card, state, open }): CardStatus => {
    const shape = shapeOf(card)
    for (const resource of shape.resources) {
      const total = (resources[resource] ??= { most: 0, free: 0 })
      total.most += roomFor(shape, 0, resource)
      if (open) total.free += roomFor(shape, state, resource)
    }
    const drained = ledger.drained(card.id)
    return {
      id: card.id,
      host: card.host,
      model: card.model,
      ...(card.owner === undefined ? {} : { owner: card.owner }),
      sharing: card.sharing.type,
      parts: shape.parts,
      free: freeParts(shape, state),
      fragmentation: fragmentation(shape, state),
      ...(drained === undefined ? {} : { drained }),
      holders: deviceState
        .holdersOf(card.id)
        .flatMap(({ request, holdings }) =>
          holdings
            .filter((held) => held.card === card.id)
            .map(({ resource }) => ({ uid: request.uid, project: request.project, resource }))
        )
    }
  })
  const open = cards.filter(({ free }) => free > 0)
  return {
    cards,
    resources,
    leases: [...ledger.leases()],
    waiting: waiting.map(({ request }) => request.uid),
    fragmentation: open.reduce((sum, card) => sum + card.fragmentation, 0) / Math.max(1, open.length)
  }
}
