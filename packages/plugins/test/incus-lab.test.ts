import t from 'tap'
import { bindCards } from '../src/incus/lab/gpu-binding.ts'
import { holdersOf, parsePci, readClaim, wishesOf, writeClaim } from '../src/incus/lab/gpu-inventory.ts'
import type { InstanceRecord } from '../src/incus/lab/instance-record.ts'
import { formatAddress, nextAddress, parseAddress, parseNetwork } from '../src/incus/lab/ipv4.ts'
import { describeOperation } from '../src/incus/lab/operations.ts'
import { matches, parseProject, parseScope, withFlags } from '../src/incus/lab/scope.ts'

t.test('a scope is read in all of its forms', async (t) => {
  t.strictSame(parseScope('one'), { name: 'one' })
  t.strictSame(parseScope('p.one'), { project: 'p', name: 'one' })
  t.strictSame(parseScope('a.b.one'), { project: 'a.b', name: 'one' })
  t.strictSame(parseScope('r:one'), { remote: 'r', name: 'one' })
  t.strictSame(parseScope('r:p.one'), { remote: 'r', project: 'p', name: 'one' })
  t.strictSame(parseScope('r:'), { remote: 'r' })
  t.strictSame(parseScope('p.'), { project: 'p' })
  t.strictSame(parseScope('r:p.'), { remote: 'r', project: 'p' })
  t.strictSame(parseProject('r:p'), { remote: 'r', project: 'p' })
  t.strictSame(parseProject('r:'), { remote: 'r' })
  for (const wrong of [
    '',
    ':',
    '.',
    'r::one',
    ':one',
    '-r',
    'one*',
    'a b',
    'é',
    `x${'y'.repeat(63)}`,
    'one-',
    '1one'
  ])
    t.throws(() => parseScope(wrong), { code: 'LAB_INVALID' }, wrong)
  t.strictSame(parseScope('r:p.g*', { wild: true }), { remote: 'r', project: 'p', name: 'g*' })
  t.ok(matches('g*u', 'gpu') && matches(undefined, 'x') && !matches('g*', 'ag') && !matches('g.u', 'gpu'))
})

t.test('flags stand for what a scope leaves out, and contradict it in words', async (t) => {
  const ofUser = (user: string) => `figo-${user}`
  t.strictSame(withFlags({ name: 'a' }, { remote: 'r', user: 'mario' }, ofUser), {
    remote: 'r',
    project: 'figo-mario',
    name: 'a'
  })
  t.throws(() => withFlags({ project: 'p' }, { user: 'mario' }, ofUser), {
    message: /says project p, but --project says figo-mario/
  })
  t.throws(() => withFlags({}, { project: 'p', user: 'mario' }, ofUser), {
    message: /--user: it says project figo-mario/
  })
  t.strictSame(withFlags({ project: 'p' }, { user: 'mario', relax: true }, ofUser), { project: 'p' })
})

t.test(
  'the next address is after the highest, or in the lowest hole, and never outside of the network',
  async (t) => {
    const network = parseNetwork('10.0.0.0/29', 'network')
    const used = (...last: number[]) => new Set(last.map((one) => network.base + one))
    const next = (taken: Set<number>, how = {}) => {
      const found = nextAddress(network, taken, how)
      return found === undefined ? undefined : formatAddress(found)
    }
    t.equal(next(used()), '10.0.0.1')
    t.equal(next(used(1, 3)), '10.0.0.4')
    t.equal(next(used(1, 3), { hole: true }), '10.0.0.2')
    t.equal(next(used(1, 6)), undefined, 'the last is that of the broadcast')
    t.equal(next(used(1, 6), { hole: true }), '10.0.0.2')
    t.equal(next(used(1, 2, 3, 4, 5, 6), { hole: true }), undefined)
    t.equal(next(used(200)), '10.0.0.1', 'what is elsewhere counts nothing')
    t.equal(formatAddress(parseAddress('255.255.255.255', 'x')), '255.255.255.255')
    t.throws(() => parseNetwork('10.0.0.1/29', 'x'), { message: /10\.0\.0\.0\/29/ })
  }
)

const cards = ['0000:3b:00.0', '0000:86:00.0'].map((pci) => ({ pci, model: 'card', vendor: '10de' }))
const gpu = (pci: string) => ({ gpu: { type: 'gpu', gputype: 'physical', pci } })
const profile = (name: string, pci: string) => ({ name, description: '', config: {}, devices: gpu(pci) })
const profiles = new Map(
  [
    profile('gpu-cnt-1', '3b:00.0'),
    profile('gpu-vm-1', cards[0]!.pci),
    profile('gpu-cnt-2', '0000:86:00.0')
  ].map((one) => [one.name, one])
)
const running = (name: string, pci?: string): InstanceRecord => ({
  name,
  project: 'p',
  type: 'container',
  status: 'Running',
  profiles: [],
  config: {},
  devices: {},
  expanded_config: {},
  expanded_devices: { gpu: { type: 'gpu', ...(pci === undefined ? {} : { pci }) } }
})

t.test('two profiles of one card are one card, and a wish is exchanged within its kind alone', async (t) => {
  const bind = (has: string[], others: InstanceRecord[]) => {
    const record = { profiles: ['default', ...has], devices: {} }
    return bindCards(record, wishesOf(record, profiles), cards, holdersOf(others, cards, 0), profiles)
  }
  t.match(bind(['gpu-cnt-1'], []), {
    cards: [cards[0]!.pci],
    profiles: ['default', 'gpu-cnt-1'],
    exchanged: []
  })
  t.match(bind(['gpu-cnt-1'], [running('vm', cards[0]!.pci)]), { profiles: ['default', 'gpu-cnt-2'] })
  t.match(bind(['gpu-cnt-1', 'gpu-cnt-2'], []), { cards: { length: 2 } })
  t.match(bind(['gpu-vm-1'], [running('a', cards[0]!.pci)]), {
    reason: /no profile of the kind of gpu-vm-1 for the 1 free/
  })
  t.match(bind(['gpu-cnt-1'], [running('all')]), { reason: /0 are free/ }, 'one that names no card has all')
  t.match(bind(['gpu-cnt-1', 'gpu-vm-1'], []), { reason: /no profile of the kind/ })
})

t.test('a claim keeps a card for a while, whatever the clock of its writer', async (t) => {
  const claim = writeClaim({ at: 1_000_000, cards: [cards[0]!.pci] })
  t.same(readClaim(claim), { at: 1_000_000, cards: [cards[0]!.pci] })
  t.equal(readClaim('nonsense'), undefined)
  const stopped = { ...running('s'), status: 'Stopped', config: { 'user.interlink.gpu-claim': claim } }
  t.equal(holdersOf([stopped], cards, 1_060_000).size, 1)
  t.equal(holdersOf([stopped], cards, 900_000).size, 1)
  t.equal(holdersOf([stopped], cards, 2_000_000).size, 0)
  t.equal(parsePci('3B:00.0'), '0000:3b:00.0')
})

t.test('how far an operation is, is told in the words of Incus', async (t) => {
  const record = {
    id: 'i',
    description: 'Creating instance',
    status: 'Running',
    created_at: '',
    may_cancel: true
  }
  t.match(
    describeOperation('r', {
      ...record,
      resources: { instances: ['/1.0/instances/one?project=p'] },
      metadata: { download_progress: 'rootfs: 34% (5.20MB/s)' }
    }),
    { target: 'one', progress: 'rootfs: 34% (5.20MB/s)' }
  )
})
