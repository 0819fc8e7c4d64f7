import t from 'tap'
import fc from 'fast-check'
import { bestFit, fragmentation } from '../src/kit/devices/best-fit.ts'
import { CardPool } from '../src/kit/devices/card-pool.ts'
import { legalPlacements, roomFor } from '../src/kit/devices/one-card.ts'
import { packCards } from '../src/kit/devices/pack-cards.ts'
import { choose, take, type Placed, type Wish } from '../src/kit/devices/place.ts'
import { chooseAhead, planQueue } from '../src/kit/devices/plan-queue.ts'
import { planRepartition } from '../src/kit/devices/repartition.ts'
import { shapeOf } from '../src/kit/devices/shape.ts'
import { seeded } from '../../../test/support/seeded.ts'
import { aCard, mig, slice } from './support-devices.ts'

const a100 = shapeOf(aCard(mig()))
const profiles = ['1g.5gb', '1g.10gb', '2g.10gb', '3g.20gb', '4g.20gb', '7g.40gb']
const where = (placed: readonly Placed[] | undefined) =>
  placed?.map(({ card, placement }) => `${card.id}@${placement.start}`)
const one = (resource: string, more: Partial<Wish> = {}): Wish => ({ resources: [resource], ...more })

t.test('on an empty card each profile begins where it spoils the least', async (t) => {
  const starts = Object.fromEntries(
    profiles.map((profile) => [profile, bestFit(a100, 0, slice(profile))!.placement.start])
  )
  t.same(starts, { '1g.5gb': 6, '1g.10gb': 6, '2g.10gb': 4, '3g.20gb': 4, '4g.20gb': 0, '7g.40gb': 0 })
  t.equal(bestFit(a100, 0b1, slice('4g.20gb')), undefined)
})

t.test('how many of each profile still fit is exact', async (t) => {
  const most = (state: number) => profiles.map((profile) => roomFor(a100, state, slice(profile)))
  t.same(most(0), [7, 4, 3, 2, 1, 1], 'the counts of the MIG user guide')
  t.same(most(0b1111_0000), [4, 2, 2, 1, 1, 0])
  t.same(most(0b0000_1000), [6, 3, 2, 1, 0, 0])
  t.equal(roomFor(a100, 0, slice('1g.5gb.me')), 1)
  const [media] = legalPlacements(a100, 0, slice('1g.5gb.me'))
  t.equal(roomFor(a100, media!.mask, slice('1g.5gb.me')), 0)
})

t.test('a set fits on a card exactly when some order of placing it does', async () => {
  const byTrying = (state: number, resources: readonly string[]): boolean =>
    resources.length === 0 ||
    legalPlacements(a100, state, resources[0]!).some(({ mask }) => byTrying(state | mask, resources.slice(1)))
  fc.assert(
    fc.property(
      fc.nat(0x1ff),
      fc.array(fc.constantFrom(...profiles, '1g.5gb.me').map(slice), { maxLength: 5 }),
      (state, resources) => {
        const found = packCards(
          [{ shape: a100, state }],
          resources.map((resource) => ({ resource })),
          Infinity
        )
        if (found === 'gave up') return false
        let taken = state
        for (const { placement } of found ?? []) {
          if (taken & placement.mask) return false
          taken |= placement.mask
        }
        return (found !== undefined) === byTrying(state, resources)
      }
    ),
    { numRuns: 1000 }
  )
})

t.test('fragmentation is what the next request cannot use of what is free', async (t) => {
  t.equal(fragmentation(a100, 0xff), 0, 'nothing is free')
  const only = (profile: string) =>
    new Map(a100.resources.map((name) => [name, name === slice(profile) ? 1 : 0]))
  t.equal(fragmentation(a100, 0, only('7g.40gb')), 0)
  t.equal(fragmentation(a100, 0b1, only('7g.40gb')), 1, 'one slice taken: no 7g at all')
  t.equal(fragmentation(a100, 0, only('1g.5gb')), 1 / 8, 'the eighth slice has no compute')
})

t.test('slices go to a card that is in use, so that whole cards stay whole', async (t) => {
  const [first, second] = [aCard(mig()), aCard(mig())]
  const pool = new CardPool([first, second])
  pool.take(second.id, 0b1000_0000 | 0b0100_0000)
  t.same(where(choose(pool, one(slice('2g.10gb')))), [`${second.id}@4`])
  t.same(where(choose(pool, one(slice('7g.40gb')))), [`${first.id}@0`])
})

t.test('rank goes before fit, and cards that do not suit are never taken', async (t) => {
  const [own, lent] = [aCard(mig(), { owner: 'us' }), aCard(mig(), { owner: 'them' })]
  const pool = new CardPool([own, lent])
  pool.take(lent.id, 0b0100_0000)
  const ours: Wish = one(slice('2g.10gb'), { rank: ({ owner }) => (owner === 'us' ? 0 : 1) })
  t.same(where(choose(pool, ours)), [`${own.id}@4`])
  pool.setOpen(own.id, false)
  t.same(where(choose(pool, ours)), [`${lent.id}@4`], 'a closed card takes nobody')
  t.equal(choose(pool, one(slice('2g.10gb'), { rank: () => undefined })), undefined)
})

t.test('replicas are spread, parts are packed', async (t) => {
  const shared = [0, 1].map(() => aCard({ type: 'timeslice', replicas: 4 }))
  const pool = new CardPool(shared)
  pool.take(shared[0]!.id, 1)
  t.same(where(choose(pool, one('nvidia.com/gpu.shared'))), [`${shared[1]!.id}@3`])
})

t.test('devices that belong together are given all or not at all, and the pool is untouched', async (t) => {
  const cards = ['h0', 'h0', 'h1'].map((host) => aCard({ type: 'whole' }, { host }))
  const pool = new CardPool(cards)
  const gpus = (count: number, together: 'host' | 'any') =>
    choose(pool, { resources: Array.from({ length: count }, () => 'nvidia.com/gpu'), together })
  t.same(
    gpus(2, 'host')!.map(({ card }) => card.host),
    ['h0', 'h0']
  )
  t.equal(gpus(3, 'host'), undefined)
  t.equal(gpus(3, 'any')!.length, 3)
  t.equal(gpus(4, 'any'), undefined)
  t.ok([...pool.cards()].every(({ state }) => state === 0))
})

t.test('cards of one NUMA node are preferred for devices that belong together', async (t) => {
  const pool = new CardPool([0, 1, 1, 0].map((numa) => aCard({ type: 'whole' }, { numa })))
  const found = choose(pool, { resources: ['nvidia.com/gpu', 'nvidia.com/gpu'], together: 'host' })!
  t.equal(found[0]!.card.numa, found[1]!.card.numa)
})

t.test('a gang that needs a rare combination is found by trying every way', async (t) => {
  const pool = new CardPool([aCard(mig())])
  const gang = ['3g.20gb', '1g.5gb', '1g.5gb', '1g.5gb', '1g.5gb'].map(slice)
  const found = choose(pool, { resources: gang, together: 'host' })!
  t.equal(found.length, 5)
  t.same(
    found.map(({ placement }) => placement.resource),
    gang,
    'in the order of the wish'
  )
  t.doesNotThrow(() => take(pool, found), 'no two overlap')
})

t.test('who waits behind is looked at', async (t) => {
  // Alone, a 3g goes to the second half of a card; the two behind it only fit if it does not.
  const pool = new CardPool([aCard(mig())])
  pool.take([...pool.cards()][0]!.card.id, 0b0000_0001)
  const wish = one(slice('1g.10gb'))
  const waiting = [one(slice('3g.20gb')), one(slice('1g.5gb'))]
  const alone = choose(pool, wish)!
  const ahead = chooseAhead(pool, wish, waiting)!
  const served = (first: readonly Placed[]) => {
    const after = new CardPool([...pool.cards()].map(({ card }) => card))
    for (const { card, state } of pool.cards()) after.take(card.id, state)
    take(after, first)
    return planQueue(after, waiting).placed.filter(Boolean).length
  }
  t.equal(served(ahead), 2)
  t.ok(served(alone) <= served(ahead))
})

const mix: readonly (readonly [profile: string, share: number])[] = [
  ['1g.5gb', 0.45],
  ['2g.10gb', 0.25],
  ['3g.20gb', 0.18],
  ['4g.20gb', 0.06],
  ['7g.40gb', 0.06]
]
const pick = (at: number): string => {
  let rest = at
  return slice((mix.find(([, share]) => (rest -= share) < 0) ?? mix[0]!)[0])
}

/** One to three cards with somebody on them, and a queue. */
function smallCase(random: () => number): { pool: CardPool; queue: string[] } {
  const pool = new CardPool(Array.from({ length: 1 + Math.floor(random() * 3) }, () => aCard(mig())))
  for (const { card } of [...pool.cards()])
    for (let left = Math.floor(random() * 3); left > 0; left--) {
      const legal = legalPlacements(a100, pool.get(card.id)!.state, pick(random()))
      if (legal.length > 0) pool.take(card.id, legal[Math.floor(random() * legal.length)]!.mask)
    }
  return { pool, queue: Array.from({ length: 3 + Math.floor(random() * 7) }, () => pick(random())) }
}

/** The most that can be placed, first come first served, if the places are chosen knowing everything. */
function exactly({ pool, queue }: { pool: CardPool; queue: readonly string[] }): number {
  const cards = [...pool.cards()].map(({ state }) => ({ shape: a100, state }))
  let served: { resource: string }[] = []
  for (const resource of queue)
    if (packCards(cards, [...served, { resource }], Infinity)) served = [...served, { resource }]
  return served.length
}

t.test('of small queues no more could be placed, and the bound says so', async (t) => {
  const random = seeded(7)
  for (let round = 0; round < 200; round++) {
    const { pool, queue } = smallCase(random)
    const before = [...pool.cards()].map(({ state }) => state)
    const { placed, bound } = planQueue(
      pool,
      queue.map((resource) => one(resource))
    )
    const served = placed.filter(Boolean).length
    if (served !== exactly({ pool, queue }) || bound < served) t.fail(`round ${round}: ${served} of ${bound}`)
    t.same(
      [...pool.cards()].map(({ state }) => state),
      before
    )
  }
})

t.test('one at a time, without a look at the queue, at most 2 % are lost', async (t) => {
  const random = seeded(11)
  let served = 0
  let possible = 0
  for (let round = 0; round < 300; round++) {
    const { pool, queue } = smallCase(random)
    possible += exactly({ pool, queue })
    for (const resource of queue) {
      const found = choose(pool, one(resource))
      if (found) take(pool, found)
      if (found) served++
    }
  }
  t.ok(served >= 0.98 * possible, `${served} of ${possible}`)
})

t.test('an idle card is shared in another way only by a plan that somebody sees', async (t) => {
  const whole = aCard({ type: 'whole', geometry: 'a100-40gb' }, { pci: '0000:3b:00.0' })
  const pool = new CardPool([whole])
  const plan = planRepartition(pool, one(slice('3g.20gb')))!
  t.match(plan, [{ card: { id: whole.id }, to: { type: 'mig', geometry: 'a100-40gb' }, resets: true }])
  t.same(plan[0]!.commands, [['nvidia-smi', '-i', '0000:3b:00.0', '-mig', '1']])
  t.equal(choose(pool, one(slice('3g.20gb'))), undefined, 'nothing has been done')
  pool.take(whole.id, 1)
  t.equal(planRepartition(pool, one(slice('3g.20gb'))), undefined, 'a card that is used stays as it is')
})

t.test('a fixed layout keeps what can stay', async (t) => {
  const instances = [
    { profile: '3g.71gb', start: 0 },
    { profile: '2g.35gb', start: 4 },
    { profile: '1g.18gb', start: 6 }
  ]
  const card = aCard({ type: 'mig', geometry: 'h200-141gb', instances }, { pci: '0000:3b:00.0' })
  const [change] = planRepartition(new CardPool([card]), one(slice('1g.35gb')))!
  t.same(change!.to, {
    type: 'mig',
    geometry: 'h200-141gb',
    instances: [instances[0], instances[1], { profile: '1g.35gb', start: 6 }]
  })
  t.notOk(change!.resets)
  t.same(change!.commands.at(-1), ['nvidia-smi', 'mig', '-i', '0000:3b:00.0', '-cgi', '9:0,14:4,15:6', '-C'])
})

t.test('parts that are taken cannot be taken again', async (t) => {
  const card = aCard(mig())
  const pool = new CardPool([card])
  pool.take(card.id, 0b11)
  t.throws(() => pool.take(card.id, 0b10), /taken/)
  t.throws(() => pool.give(card.id, 0b100), /free/)
})
