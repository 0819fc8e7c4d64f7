import { legalPlacements } from './one-card.ts'
import type { Placement, Shape } from './shape.ts'

export interface OpenCard {
  readonly shape: Shape
  readonly state: number
  /** Cards of one kind suit the same items. @default the shape's key */
  readonly kind?: string
}

export interface PackItem {
  readonly resource: string
  /** Whether it may go on a card of this index; the same for all cards of one kind. @default on all */
  readonly suits?: (card: number) => boolean
}

export interface Packed {
  /** Index into the cards. */
  readonly card: number
  readonly placement: Placement
}

/**
 * Where all of these fit on some cards, in the order of the items; undefined where no way exists: every way is tried,
 * alike cards once. It gives up after `budget` steps. For one card this is quick and exact.
 */
export function packCards(
  cards: readonly OpenCard[],
  items: readonly PackItem[],
  budget = 20_000
): Packed[] | undefined | 'gave up' {
  const order = items
    .map((item, index) => ({ item, index, size: largestShare(cards, item.resource) }))
    .sort((a, b) => b.size - a.size || a.item.resource.localeCompare(b.item.resource))
  const states = cards.map(({ state }) => state)
  const names = cards.map(({ kind, shape }) => kind ?? shape.key)
  const kinds = names.map((name) => names.indexOf(name))
  /** The same number for cards that are alike. */
  const likeness = (card: number) => kinds[card]! * 2 ** 31 + states[card]!
  const failed = new Set<string>()
  let steps = 0

  const placeFrom = (at: number): Packed[] | undefined => {
    const next = order[at]
    if (!next) return []
    const key = `${at} ${states
      .map((_, card) => likeness(card))
      .sort((a, b) => a - b)
      .join()}`
    if (failed.has(key)) return undefined
    const tried = new Set<number>()
    for (const [card, { shape }] of cards.entries()) {
      const state = states[card]!
      const alike = likeness(card)
      if (tried.has(alike) || next.item.suits?.(card) === false) continue
      tried.add(alike)
      for (const placement of legalPlacements(shape, state, next.item.resource)) {
        if (++steps > budget) return undefined
        states[card] = state | placement.mask
        const rest = placeFrom(at + 1)
        states[card] = state
        if (rest) return [{ card, placement }, ...rest]
      }
    }
    if (steps <= budget) failed.add(key)
    return undefined
  }

  const found = placeFrom(0)
  if (!found) return steps > budget ? 'gave up' : undefined
  const inOrder: Packed[] = []
  found.forEach((packed, at) => (inOrder[order[at]!.index] = packed))
  return inOrder
}

/** The share of a card that a resource takes where it takes the most; big ones are placed first. */
function largestShare(cards: readonly OpenCard[], resource: string): number {
  return cards.reduce((most, { shape }) => {
    const first = shape.placements.get(resource)?.[0]
    return first ? Math.max(most, first.size / shape.parts) : most
  }, 0)
}
