import { CardPool } from './card-pool.ts'
import type { DeviceState } from './device-state.ts'
import { wishOf } from './device-request.ts'
import { resourceList, type DeviceRequest, type Lease } from './lease.ts'
import { choose, type Placed } from './place.ts'
import { chooseAhead, chooseBehind } from './plan-queue.ts'
import type { DevicePolicy, PolicyView } from './policy.ts'
import { cardsOf, chooseVictims, type Reclaimable } from './reclaim.ts'
import { planRepartition } from './repartition.ts'

export interface Deciding {
  readonly state: DeviceState
  readonly policy: DevicePolicy
  readonly view: PolicyView
}

/** Of those that go first, how many are given their place before one that comes behind them. */
const maxAhead = 32

/** The devices of a lease, after those who wait and go before it have theirs, and with an eye on those behind. */
export function placeFor(
  deciding: Deciding,
  { request, requestedAt }: Lease,
  waiting: readonly Lease[]
): readonly Placed[] | undefined {
  const { state, policy, view } = deciding
  const order = ({ request: a, requestedAt: since }: Lease) =>
    policy.compare(a, request, view) || since - requestedAt
  const others = waiting
    .filter((other) => other.request.uid !== request.uid && !policy.refuse(other.request, view))
    .map((other) => ({ other, order: order(other) }))
    .sort((a, b) => a.order - b.order)
  const wish = (lease: Pick<Lease, 'request'>) => wishOf(lease.request, policy, view)
  const ahead = others.filter(({ order }) => order < 0).slice(0, maxAhead)
  const behind = others.filter(({ order }) => order >= 0)
  return withoutHeld(state, request.uid, view.now, (pool) =>
    ahead.length === 0
      ? chooseAhead(
          pool,
          wish({ request }),
          behind.map(({ other }) => wish(other))
        )
      : chooseBehind(
          pool,
          ahead.map(({ other }) => wish(other)),
          wish({ request })
        )
  )
}

/** Looks at the pool as if what is kept for others were taken. */
export function withoutHeld<T>(
  { ledger, pool }: DeviceState,
  uid: string | undefined,
  now: number,
  look: (pool: CardPool) => T
): T {
  const held: { card: string; mask: number }[] = []
  for (const hold of ledger.holds(now)) {
    const mask = hold.mask & ~(pool.get(hold.card)?.state ?? ~0)
    if (hold.for === uid || mask === 0) continue
    pool.take(hold.card, mask)
    held.push({ card: hold.card, mask })
  }
  try {
    return look(pool)
  } finally {
    for (const { card, mask } of held) pool.give(card, mask)
  }
}

/** Who would have to go for a request, by policy; those who have been told already are none. */
export function victimsFor(
  { state, policy, view }: Deciding,
  request: DeviceRequest
): readonly Reclaimable[] | undefined {
  const candidates = [...state.ledger.leases()].flatMap((lease) => {
    if (lease.phase !== 'bound' || lease.notice) return []
    const words = cardsOf(state.pool, lease).map((card) => policy.reclaim(request, lease, card, view))
    const [first] = words
    return first && words.every((each) => each !== undefined) ? [{ lease, ...first }] : []
  })
  return chooseVictims(state.pool, wishOf(request, policy, view), candidates)
}

/** Why a request could not be served if nobody else had anything; undefined: it could. */
export function refusalForEver(
  { state, policy, view }: Deciding,
  request: DeviceRequest
): string | undefined {
  const refused = policy.refuse(request, view)
  if (refused?.final) return refused.reason
  const empty = new CardPool([...state.pool.cards()].map(({ card }) => card))
  const wish = wishOf(request, policy, view)
  if (choose(empty, wish) || planRepartition(empty, wish)) return undefined
  if (request.exactly) {
    const names = request.exactly.map(({ card, resource }) => `${resource} of card ${card}`).join(' and ')
    return `${request.project} may not have ${names}, or not together, as its resource claims say; delete the claims to have others allocated, and ask for devices of one host (matchAttribute: devices.interlink.io/host)`
  }
  const offered = new Set([...empty.groups()].flatMap(({ shape }) => shape.resources))
  const unknown = resourceList(request).find((resource) => !offered.has(resource))
  return unknown === undefined
    ? `no cards that ${request.project} may use have ${asked(request)} together; ask for less, or for other hosts, models or labels`
    : `no card here offers ${unknown}; expected one of ${[...offered].sort().join(', ') || 'none'}`
}

/** Why a request has to wait. */
export function noRoom({ state }: Deciding, { exactly = [] }: DeviceRequest): string {
  const again = 'ask again when something is released'
  if (exactly.length === 0) return `no room at the moment; ${again}`
  const away = exactly.filter(({ card }) => !state.pool.get(card)?.open).map(({ card }) => card)
  const holders = exactly.flatMap(({ card }) => state.holdersOf(card))
  const names = new Set(holders.map(({ request }) => request.name ?? request.uid))
  return [
    ...(away.length > 0 ? [`card ${[...new Set(away)].join(', ')} cannot be given at the moment`] : []),
    ...(names.size > 0 ? [`${[...names].join(', ')} is on the card of its resource claim`] : []),
    again
  ].join('; ')
}

const asked = ({ resources }: DeviceRequest): string =>
  Object.entries(resources)
    .map(([resource, count]) => `${count} of ${resource}`)
    .join(' and ')
