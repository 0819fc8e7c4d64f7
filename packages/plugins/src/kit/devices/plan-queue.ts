import { freeParts } from './best-fit.ts'
import type { CardPool } from './card-pool.ts'
import { roomFor } from './one-card.ts'
import { choose, chooseJointly, giveBack, take, type Placed, type Wish } from './place.ts'

export interface QueuePlan {
  /** For each wish, in its order: where its devices would go, or undefined where it has to wait. */
  readonly placed: readonly (readonly Placed[] | undefined)[]
  /** No way of placing these wishes could serve more of them. */
  readonly bound: number
}

/**
 * What would be given to whom if these were placed now, the first ones first. Where one finds no room, those before it
 * are moved together if that makes room: nobody has them yet. The pool is left as it was.
 */
export function planQueue(pool: CardPool, wishes: readonly Wish[]): QueuePlan {
  return { placed: placeInOrder(pool, wishes, thoroughly), bound: mostPlaceable(pool, wishes) }
}

/** With an eye on those who wait behind: the place that leaves room for most of them, in their order. */
export const chooseAhead = (
  pool: CardPool,
  wish: Wish,
  waiting: readonly Wish[]
): readonly Placed[] | undefined => placeInOrder(pool, [wish, ...waiting.slice(0, lookAhead)], quickly)[0]

/** After those who go first have their places, and these may be moved together for it. */
export const chooseBehind = (
  pool: CardPool,
  ahead: readonly Wish[],
  wish: Wish
): readonly Placed[] | undefined => placeInOrder(pool, [...ahead, wish], quickly).at(-1)

interface Effort {
  /** How often wishes are moved together. */
  readonly moves: number
  /** Steps of each of these searches. */
  readonly budget: number
}
const thoroughly: Effort = { moves: Infinity, budget: 20_000 }
const quickly: Effort = { moves: 1, budget: 50 }
const lookAhead = 8

function placeInOrder(
  pool: CardPool,
  wishes: readonly Wish[],
  { moves, budget }: Effort
): readonly (readonly Placed[] | undefined)[] {
  let placed: (readonly Placed[] | undefined)[] = []
  let left = moves
  for (const wish of wishes) {
    const found = choose(pool, wish)
    if (found) take(pool, found)
    placed.push(found)
    if (!found && left-- > 0) placed = moveTogether(pool, wishes, placed, budget)
  }
  for (const found of placed) if (found) giveBack(pool, found)
  return placed
}

/** Places anew what was placed, with the last wish among them, or leaves it. */
function moveTogether(
  pool: CardPool,
  wishes: readonly Wish[],
  placed: readonly (readonly Placed[] | undefined)[],
  budget: number
): (readonly Placed[] | undefined)[] {
  const moved = wishes
    .map((wish, index) => ({ wish, index, before: placed[index] }))
    .slice(0, placed.length)
    .filter(({ wish, index, before }) => (before || index === placed.length - 1) && isMovable(wish))
  if (moved.at(-1)?.index !== placed.length - 1) return [...placed]
  for (const { before } of moved) if (before) giveBack(pool, before)
  const found = chooseJointly(
    pool,
    moved.map(({ wish }) => wish),
    budget
  )
  const after = [...placed]
  moved.forEach(({ index, before }, at) => {
    const now = found ? found[at] : before
    after[index] = now
    if (now) take(pool, now)
  })
  return after
}

const isMovable = ({ resources, together, exactly }: Wish): boolean =>
  !exactly && (resources.length === 1 || together !== 'host')

/** How many of a resource still fit into all cards that are open. */
export function roomIn(pool: CardPool, resource: string): number {
  let room = 0
  for (const { shape, byState } of pool.groups()) {
    if (!shape.placements.has(resource)) continue
    for (const [state, cards] of byState) room += cards.size * roomFor(shape, state, resource)
  }
  return room
}

/** Never less than what can be placed: places are ignored, but not how many of each fit, nor the sum of their sizes. */
function mostPlaceable(pool: CardPool, wishes: readonly Wish[]): number {
  const least = new Map<string, number>()
  let free = 0
  for (const { shape, byState } of pool.groups()) {
    for (const [state, cards] of byState) free += (cards.size * freeParts(shape, state)) / shape.parts
    for (const [resource, [first]] of shape.placements)
      least.set(resource, Math.min(least.get(resource) ?? Infinity, first!.size / shape.parts))
  }
  const sizes = wishes.map(({ resources }) =>
    resources.reduce((sum, resource) => sum + (least.get(resource) ?? Infinity), 0)
  )
  let bySize = 0
  for (const size of sizes.sort((a, b) => a - b)) {
    free -= size
    // The sizes are fractions, whose sum is off by a little.
    if (free < -1e-9) break
    bySize++
  }
  let byCount = wishes.length
  for (const resource of new Set(wishes.flatMap(({ resources }) => resources))) {
    const asking = wishes.filter(({ resources }) => resources[0] === resource).length
    byCount -= Math.max(0, asking - roomIn(pool, resource))
  }
  return Math.min(bySize, byCount)
}
