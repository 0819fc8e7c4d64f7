import type { Card } from './card.ts'
import type { CardPool } from './card-pool.ts'
import type { Lease } from './lease.ts'
import { choose, type Wish } from './place.ts'

/** Why a holder would have to go. */
export interface Reclaimable {
  readonly lease: Lease
  readonly graceSeconds: number
  readonly message: string
}

/** Alone on one card, all sets of holders up to this many are looked at. */
const perCard = 8

/**
 * Which holders would have to go for a wish to find room: as few as possible where those of one card are enough, else
 * a set of which none is needless; the last to come are the first to go. Undefined where that does not help. The pool
 * is left as it was.
 */
export function chooseVictims(
  pool: CardPool,
  wish: Wish,
  candidates: readonly Reclaimable[]
): readonly Reclaimable[] | undefined {
  const newestFirst = [...candidates].sort((a, b) => (b.lease.boundAt ?? 0) - (a.lease.boundAt ?? 0))
  const helps = (victims: readonly Reclaimable[]) =>
    without(pool, victims, () => choose(pool, wish) !== undefined)
  return fewestOnOneCard(newestFirst, helps) ?? noneNeedless(newestFirst, helps)
}

function fewestOnOneCard(
  candidates: readonly Reclaimable[],
  helps: (victims: readonly Reclaimable[]) => boolean
): readonly Reclaimable[] | undefined {
  const cards = new Set(candidates.flatMap(({ lease }) => lease.holdings.map(({ card }) => card)))
  const sets = [...cards].flatMap((card) =>
    subsets(
      candidates.filter(({ lease }) => lease.holdings.every((held) => held.card === card)).slice(0, perCard)
    )
  )
  const harm = (victims: readonly Reclaimable[]) =>
    victims.reduce((sum, { lease }) => sum + lease.holdings.reduce((share, held) => share + held.share, 0), 0)
  return sets.sort((a, b) => a.length - b.length || harm(a) - harm(b)).find(helps)
}

function noneNeedless(
  candidates: readonly Reclaimable[],
  helps: (victims: readonly Reclaimable[]) => boolean
): readonly Reclaimable[] | undefined {
  if (candidates.length === 0 || !helps(candidates)) return undefined
  let victims = candidates
  // Those who came first are kept first.
  for (const spared of [...candidates].reverse()) {
    const fewer = victims.filter((victim) => victim !== spared)
    if (helps(fewer)) victims = fewer
  }
  return victims
}

function subsets<T>(all: readonly T[]): T[][] {
  return Array.from({ length: 2 ** all.length - 1 }, (_, index) =>
    all.filter((_, at) => ((index + 1) >> at) & 1)
  )
}

function without<T>(pool: CardPool, victims: readonly Reclaimable[], look: () => T): T {
  const held = victims.flatMap(({ lease }) => lease.holdings).filter(({ card }) => pool.get(card))
  for (const { card, mask } of held) pool.give(card, mask)
  try {
    return look()
  } finally {
    for (const { card, mask } of held) pool.take(card, mask)
  }
}

/** The cards that a lease is on, as far as they are still there. */
export const cardsOf = (pool: CardPool, { holdings }: Lease): Card[] =>
  holdings.flatMap(({ card }) => pool.get(card)?.card ?? [])
