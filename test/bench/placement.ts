import {
  CardPool,
  choose,
  chooseAhead,
  fragmentation,
  giveBack,
  legalPlacements,
  packCards,
  planQueue,
  shapeOf,
  take,
  type Card,
  type Placed
} from '@interlink-ts/plugins/devices'
import { percentile, round, type Figures } from './figures.ts'
import { seeded } from '../support/seeded.ts'

/** What is asked for, by share; the A100-40's names. */
const mix: readonly (readonly [profile: string, share: number, slices: number])[] = [
  ['1g.5gb', 0.45, 1],
  ['2g.10gb', 0.25, 2],
  ['3g.20gb', 0.18, 3],
  ['4g.20gb', 0.06, 4],
  ['7g.40gb', 0.06, 7]
]
const resource = (profile: string) => `nvidia.com/mig-${profile}`
const demand = new Map(mix.map(([profile, share]) => [resource(profile), share]))
for (const name of ['1g.5gb.me', '1g.10gb']) demand.set(resource(name), 0)

const cards = (count: number): Card[] =>
  Array.from({ length: count }, (_, at) => ({
    id: `GPU-${at}`,
    host: `h${Math.floor(at / 8)}`,
    vendor: 'nvidia.com',
    model: 'NVIDIA A100-SXM4-40GB',
    labels: {},
    paths: [],
    sharing: { type: 'mig', geometry: 'a100-40gb' }
  }))
const shape = shapeOf(cards(1)[0]!)

const pick = (random: () => number) => {
  let rest = random()
  return mix.find(([, share]) => (rest -= share) < 0) ?? mix[0]!
}

interface Arrival {
  readonly at: number
  readonly until: number
  readonly resource: string
  readonly slices: number
}

/** Poisson arrivals and exponential stays; `load` is what is asked for, as a share of all compute slices. */
function arrivals(count: number, cardCount: number, load: number, random: () => number): Arrival[] {
  const mean = mix.reduce((sum, [, share, slices]) => sum + share * slices, 0)
  const rate = (load * cardCount * 7) / mean
  let at = 0
  return Array.from({ length: count }, () => {
    at -= Math.log(1 - random()) / rate
    const [profile, , slices] = pick(random)
    return { at, until: at - Math.log(1 - random()), resource: resource(profile), slices }
  })
}

type Place = (pool: CardPool, resource: string) => readonly Placed[] | undefined

/** What FIGO and default device plugins do: the first card that has room, at its first place. */
const firstFit: Place = (pool, wanted) => {
  for (const { card, state } of pool.cards()) {
    const [placement] = legalPlacements(shape, state, wanted)
    if (placement) return [{ card, placement }]
  }
  return undefined
}
const leastLoss: Place = (pool, wanted) => choose(pool, { resources: [wanted] })

/** Requests that find no room are gone. */
function replay(requests: readonly Arrival[], cardCount: number, place: Place) {
  const pool = new CardPool(cards(cardCount))
  let running: { until: number; placed: readonly Placed[] }[] = []
  const totals = { accepted: 0, slices: 0, big: 0, asked: 0, bigAsked: 0, fragmentation: 0 }
  for (const { at, until, resource, slices } of requests) {
    for (const { until, placed } of running) if (until <= at) giveBack(pool, placed)
    running = running.filter((one) => one.until > at)
    const big = slices >= 4 ? 1 : 0
    const placed = place(pool, resource)
    totals.asked += slices
    totals.bigAsked += big
    totals.fragmentation += meanFragmentation(pool)
    if (!placed) continue
    take(pool, placed)
    running.push({ until, placed })
    totals.accepted++
    totals.slices += slices
    totals.big += big
  }
  return {
    accepted: totals.accepted,
    slices: totals.slices / totals.asked,
    big: totals.big / totals.bigAsked,
    fragmentation: totals.fragmentation / requests.length
  }
}

function meanFragmentation(pool: CardPool): number {
  let sum = 0
  let count = 0
  for (const { state } of pool.cards()) {
    if ((state & 0xff) === 0xff) continue
    sum += fragmentation(shape, state, demand)
    count++
  }
  return count === 0 ? 0 : sum / count
}

/** A few cards with somebody on them, and what is asked for. */
function smallCase(random: () => number): { pool: CardPool; queue: string[] } {
  const pool = new CardPool(cards(1 + Math.floor(random() * 3)))
  for (const { card } of [...pool.cards()])
    for (let left = Math.floor(random() * 3); left > 0; left--) {
      const legal = legalPlacements(shape, pool.get(card.id)!.state, resource(pick(random)[0]))
      if (legal.length > 0) pool.take(card.id, legal[Math.floor(random() * legal.length)]!.mask)
    }
  return {
    pool,
    queue: Array.from({ length: 3 + Math.floor(random() * 7) }, () => resource(pick(random)[0]))
  }
}

/** First come, first served, with places chosen in the knowledge of all: every way is tried. */
function exactly(pool: CardPool, queue: readonly string[]): number {
  const open = [...pool.cards()].map(({ state }) => ({ shape, state }))
  let served: { resource: string }[] = []
  for (const resource of queue)
    if (packCards(open, [...served, { resource }], Infinity)) served = [...served, { resource }]
  return served.length
}

function smallCases(count: number): Figures {
  const random = seeded(5)
  const sums = { exact: 0, oneByOne: 0, queue: 0, bound: 0 }
  for (let round = 0; round < count; round++) {
    const { pool, queue } = smallCase(random)
    const wishes = queue.map((resource) => ({ resources: [resource] }))
    const { placed, bound } = planQueue(pool, wishes)
    sums.queue += placed.filter(Boolean).length
    sums.bound += bound
    sums.exact += exactly(pool, queue)
    for (const wish of wishes) {
      const found = choose(pool, wish)
      if (found) take(pool, found)
      if (found) sums.oneByOne++
    }
  }
  return {
    smallCases: count,
    smallOneByOneOfExact: round(sums.oneByOne / sums.exact, 4),
    smallQueueOfExact: round(sums.queue / sums.exact, 4),
    smallBoundOfExact: round(sums.bound / sums.exact, 4)
  }
}

/**
 * Decisions on a thousand cards that fill up, one slice at a time and with eight that wait: microseconds of the
 * processor, as others may be at work.
 */
function decisionTimes(count: number): Figures {
  const times = (waiting: number): Figures => {
    const random = seeded(9)
    const pool = new CardPool(cards(1000))
    const samples: number[] = []
    for (let at = 0; at < count; at++) {
      const wish = { resources: [resource(pick(random)[0])] }
      const behind = Array.from({ length: waiting }, () => ({ resources: [resource(pick(random)[0])] }))
      const before = process.cpuUsage()
      const placed = waiting > 0 ? chooseAhead(pool, wish, behind) : choose(pool, wish)
      const { user, system } = process.cpuUsage(before)
      samples.push(user + system)
      if (placed) take(pool, placed)
    }
    const name = waiting > 0 ? 'aheadDecision' : 'decision'
    return {
      [`${name}P50Us`]: percentile(samples, 0.5),
      [`${name}P99Us`]: percentile(samples, 0.99)
    }
  }
  // The first pass meets code that has never run.
  times(0)
  times(8)
  return { cards: 1000, ...times(0), ...times(8) }
}

/** The placement of slices against first fit, against the exact optimum, and against the clock. */
export async function benchPlacement(say: (text: string) => void): Promise<Figures> {
  const figures: Figures = { requests: 10_000 }
  for (const [cardCount, load] of [
    [4, 0.8],
    [16, 0.8],
    [32, 0.9]
  ] as const) {
    const requests = arrivals(10_000, cardCount, load, seeded(cardCount))
    for (const [name, place] of [
      ['FirstFit', firstFit],
      ['LeastLoss', leastLoss]
    ] as const) {
      const { accepted, slices, big, fragmentation } = replay(requests, cardCount, place)
      const about = `cards${cardCount}${name}`
      figures[`${about}Accepted`] = accepted
      figures[`${about}SlicesAccepted`] = round(slices, 4)
      figures[`${about}BigAccepted`] = round(big, 4)
      figures[`${about}Fragmentation`] = round(fragmentation, 4)
      say(`${cardCount} cards, ${name}: ${accepted} accepted`)
    }
  }
  return { ...figures, ...smallCases(500), ...decisionTimes(3_000) }
}
