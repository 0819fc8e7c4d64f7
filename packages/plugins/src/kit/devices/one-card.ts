import type { Placement, Shape } from './shape.ts'

/** Exact answers about one card. A shape has few states that are ever met, so each is worked out once. */
const known = new WeakMap<Shape, Map<string, number>>()

export const legalPlacements = (shape: Shape, state: number, resource: string): readonly Placement[] =>
  (shape.placements.get(resource) ?? []).filter(({ mask }) => (mask & state) === 0)

/** How many of a resource still fit, beside each other. */
export function roomFor(shape: Shape, state: number, resource: string): number {
  let answers = known.get(shape)
  if (!answers) known.set(shape, (answers = new Map()))
  const key = `${state} ${resource}`
  const before = answers.get(key)
  if (before !== undefined) return before
  const all = shape.placements.get(resource) ?? []
  // Places that do not overlap each other need no search.
  const apart = all.reduce<number>((bits, { mask }) => (bits < 0 || bits & mask ? -1 : bits | mask), 0) >= 0
  const free = all.filter(({ mask }) => (mask & state) === 0)
  const count = apart
    ? free.length
    : free.reduce((most, { mask }) => Math.max(most, 1 + roomFor(shape, state | mask, resource)), 0)
  answers.set(key, count)
  return count
}
