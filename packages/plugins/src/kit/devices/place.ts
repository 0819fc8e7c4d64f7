import { bestFit, type Fit } from './best-fit.ts'
import type { Card } from './card.ts'
import type { CardGroup, CardPool } from './card-pool.ts'
import type { ExactPart } from './lease.ts'
import { packCards } from './pack-cards.ts'
import { bitCount, shapeOf, type Placement, type Shape } from './shape.ts'

/** Devices that are given together or not at all. */
export interface Wish {
  /** One name for each device, such as `['nvidia.com/gpu', 'nvidia.com/gpu']`. */
  readonly resources: readonly string[]
  /** `host`: all in one machine. @default any */
  readonly together?: 'host' | 'any'
  /** These parts and no others, one for each of the resources. */
  readonly exactly?: readonly ExactPart[]
  /** How well cards of a group suit, lower is better; undefined: not these. @default all alike */
  readonly rank?: (group: CardGroup) => number | undefined
}

/** A device of a card, chosen but not taken. */
export interface Placed {
  readonly card: Card
  readonly placement: Placement
}

interface Candidate {
  readonly group: CardGroup
  readonly state: number
  readonly cards: ReadonlyMap<string, Card>
  readonly fit: Fit
  readonly rank: number
}

/** On how many cards every way is tried when the quick one fails. */
const searched = 16

/**
 * Where the devices of a wish go, or undefined where they cannot all be given: first by rank, then where the least of
 * what others may ask for is lost, then on the fullest card and host. The pool is left as it was.
 */
export function choose(pool: CardPool, wish: Wish): readonly Placed[] | undefined {
  if (wish.exactly) return chooseExactly(pool, wish, wish.exactly)
  if (wish.resources.length === 1) return greedy(pool, wish)
  if (wish.together === 'host') return onOneHost(pool, wish)
  return greedy(pool, wish) ?? chooseJointly(pool, [wish])?.[0]
}

/** These parts, where all are there and free; undefined else. */
function chooseExactly(
  pool: CardPool,
  wish: Wish,
  parts: readonly ExactPart[]
): readonly Placed[] | undefined {
  const placed = parts.flatMap(({ card: id, resource, start }): Placed[] => {
    const { card } = pool.get(id) ?? {}
    const placement =
      card &&
      shapeOf(card)
        .placements.get(resource)
        ?.find((one) => one.start === start)
    return card && placement ? [{ card, placement }] : []
  })
  if (placed.length < parts.length) return undefined
  if (wish.together === 'host' && new Set(placed.map(({ card }) => card.host)).size > 1) return undefined
  const suited = [...pool.groups()].filter((group) => rankOf(wish, group) !== undefined)
  const wanted = new Map<string, number>()
  for (const { card, placement } of placed) {
    const before = wanted.get(card.id) ?? 0
    const { state, open } = pool.get(card.id)!
    const isFree = open && ((state | before) & placement.mask) === 0
    if (!isFree || !suited.some(({ byState }) => byState.get(state)?.has(card.id))) return undefined
    wanted.set(card.id, before | placement.mask)
  }
  return placed
}

export function take(pool: CardPool, placed: readonly Placed[]): void {
  for (const { card, placement } of placed) pool.take(card.id, placement.mask)
}

export function giveBack(pool: CardPool, placed: readonly Placed[]): void {
  for (const { card, placement } of placed) pool.give(card.id, placement.mask)
}

export const rankOf = ({ rank }: Wish, group: CardGroup): number | undefined => (rank ? rank(group) : 0)

function onOneHost(pool: CardPool, wish: Wish): readonly Placed[] | undefined {
  const hosts = [...new Set([...pool.groups()].map(({ host }) => host))]
    .sort((a, b) => pool.inUse(b) - pool.inUse(a) || a.localeCompare(b))
    .map((host) => ({
      resources: wish.resources,
      rank: (group: CardGroup) => (group.host === host ? rankOf(wish, group) : undefined)
    }))
  for (const how of [greedy, (pool: CardPool, host: Wish) => chooseJointly(pool, [host])?.[0]])
    for (const host of hosts) {
      const found = how(pool, host)
      if (found) return found
    }
  return undefined
}

/** One after the other, the big ones first. */
function greedy(pool: CardPool, wish: Wish): Placed[] | undefined {
  const single = wish.resources.length === 1
  const order = wish.resources
    .map((resource, index) => ({ resource, index, size: single ? 0 : largestShare(pool, resource) }))
    .sort((a, b) => b.size - a.size)
  const placed: Placed[] = []
  let numa: number | undefined
  try {
    for (const { resource, index } of order) {
      const found = best(pool, resource, wish)
      if (!found) return undefined
      const card = nearest(found.cards, numa)
      numa = card.numa
      placed[index] = { card, placement: found.fit.placement }
      pool.take(card.id, found.fit.placement.mask)
    }
    return placed
  } finally {
    giveBack(
      pool,
      placed.filter((each) => each !== undefined)
    )
  }
}

function best(pool: CardPool, resource: string, wish: Wish): Candidate | undefined {
  let found: Candidate | undefined
  for (const group of pool.groups()) {
    if (!group.shape.placements.has(resource)) continue
    const rank = rankOf(wish, group)
    if (rank === undefined || (found && rank > found.rank)) continue
    for (const [state, cards] of group.byState) {
      const fit = bestFit(group.shape, state, resource)
      if (!fit) continue
      if (!found || rank < found.rank || isBetter(fit, state, group, found, pool))
        found = { group, state, cards, fit, rank }
    }
  }
  return found
}

function isBetter(fit: Fit, state: number, group: CardGroup, than: Candidate, pool: CardPool): boolean {
  if (fit.loss !== than.fit.loss) return fit.loss < than.fit.loss
  const fuller = bitCount(state) - bitCount(than.state)
  // Replicas have nothing of their own, so the emptiest card serves best.
  if (fuller !== 0) return group.shape.spreads ? fuller < 0 : fuller > 0
  return pool.inUse(group.host) > pool.inUse(than.group.host)
}

function nearest(cards: ReadonlyMap<string, Card>, numa: number | undefined): Card {
  let first: Card | undefined
  for (const card of cards.values()) {
    if (numa === undefined || card.numa === numa) return card
    first ??= card
  }
  return first!
}

/**
 * Where all devices of all these wishes go, or undefined. Every way is tried on the cards that have room for some of
 * them, as long as these are few: with many, the quick way misses little. `together` is not looked at.
 */
export function chooseJointly(
  pool: CardPool,
  wishes: readonly Wish[],
  budget?: number
): readonly (readonly Placed[])[] | undefined {
  const wanted = new Set(wishes.flatMap(({ resources }) => resources))
  const cards: { card: Card; group: CardGroup; kind: string; shape: Shape; state: number }[] = []
  for (const [index, group] of [...pool.groups()].entries()) {
    const { shape } = group
    const offered = [...wanted].filter((resource) => shape.placements.has(resource))
    if (offered.length === 0 || wishes.every((wish) => rankOf(wish, group) === undefined)) continue
    for (const [state, alike] of group.byState) {
      if (!offered.some((resource) => bestFit(shape, state, resource))) continue
      if (cards.length + alike.size > searched) return undefined
      for (const card of alike.values()) cards.push({ card, group, kind: String(index), shape, state })
    }
  }
  cards.sort((a, b) => bitCount(a.state) - bitCount(b.state))
  const items = wishes.flatMap((wish) =>
    wish.resources.map((resource) => ({
      resource,
      suits: (card: number) => rankOf(wish, cards[card]!.group) !== undefined
    }))
  )
  const found = packCards(cards, items, budget)
  if (!found || found === 'gave up') return undefined
  const rest = found.map(({ card, placement }) => ({ card: cards[card]!.card, placement }))
  return wishes.map(({ resources }) => rest.splice(0, resources.length))
}

/** The share of a card that a resource takes where it takes the most. */
function largestShare(pool: CardPool, resource: string): number {
  let most = 0
  for (const { shape } of pool.groups()) {
    const first = shape.placements.get(resource)?.[0]
    if (first) most = Math.max(most, first.size / shape.parts)
  }
  return most
}
