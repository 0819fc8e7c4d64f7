import { legalPlacements, roomFor } from './one-card.ts'
import { bitCount, type Placement, type Shape } from './shape.ts'

export interface Fit {
  readonly placement: Placement
  /** What can no longer be placed afterwards, by its worth. */
  readonly loss: number
}

interface Tables {
  readonly fits: Map<string, Map<number, Fit | undefined>>
  readonly worths: Map<number, number>
}

const tables = new WeakMap<Shape, Tables>()

/** Which place on a card costs the least of what could still be placed there. */
export function bestFit(shape: Shape, state: number, resource: string): Fit | undefined {
  const { fits } = tablesOf(shape)
  let byState = fits.get(resource)
  if (!byState) fits.set(resource, (byState = new Map()))
  const known = byState.get(state)
  if (known || byState.has(state)) return known
  let best: Fit | undefined
  for (const placement of legalPlacements(shape, state, resource)) {
    const loss = worthOf(shape, state) - worthOf(shape, state | placement.mask)
    // Of equal ones the highest: the low slices are those that the big profiles need.
    if (!best || loss < best.loss || (loss === best.loss && placement.start > best.placement.start))
      best = { placement, loss }
  }
  byState.set(state, best)
  return best
}

/**
 * The sum over all places that are still legal, each by its compute slices to the power of 1.5. With a power of 1, big
 * profiles are refused more often than with first fit once there are many cards; the bench `placement` shows it.
 */
function worthOf(shape: Shape, state: number): number {
  const { worths } = tablesOf(shape)
  const known = worths.get(state)
  if (known !== undefined) return known
  let worth = 0
  for (const placements of shape.placements.values())
    for (const { mask, weight } of placements) if ((mask & state) === 0) worth += weight ** 1.5
  worths.set(state, worth)
  return worth
}

function tablesOf(shape: Shape): Tables {
  let found = tables.get(shape)
  if (!found) tables.set(shape, (found = { fits: new Map(), worths: new Map() }))
  return found
}

/** How often each resource is asked for, on any scale; what is not named counts as 1. */
export type Demand = ReadonlyMap<string, number>

/**
 * The share of a card's free parts that the next request cannot use, expected over what is asked for; 0 to 1. This is
 * the measure of Weng et al., "Beware of Fragmentation", USENIX ATC 2023, with exact counts in the place of quotients.
 */
export function fragmentation(shape: Shape, state: number, demand: Demand = new Map()): number {
  const free = freeParts(shape, state)
  if (free === 0) return 0
  let total = 0
  let wasted = 0
  for (const [resource, [first]] of shape.placements) {
    const often = demand.get(resource) ?? 1
    total += often
    wasted += often * (1 - (roomFor(shape, state, resource) * first!.size) / free)
  }
  return total === 0 ? 0 : wasted / total
}

export const freeParts = (shape: Shape, state: number): number =>
  shape.parts - bitCount(state & (2 ** shape.parts - 1))
