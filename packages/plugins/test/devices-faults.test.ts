import t from 'tap'
import type { Binding } from '../src/kit/devices/binding.ts'
import { DeviceBroker } from '../src/kit/devices/broker.ts'
import type { Card } from '../src/kit/devices/card.ts'
import type { DeviceRequest } from '../src/kit/devices/lease.ts'
import { shapeOf } from '../src/kit/devices/shape.ts'
import { PluginError } from '../src/errors.ts'
import { seeded } from '../../../test/support/seeded.ts'
import { aCard, FaultyDisk, mig, policyWith, slice, type DiskFault } from './support-devices.ts'

const steps = 100_000

/** Memory slices by profile, as in the MIG user guide: the world does not ask the broker what it meant. */
const size: Readonly<Record<string, number>> = {
  '1g.5gb': 1,
  '1g.5gb+me': 1,
  '1g.10gb': 2,
  '2g.10gb': 2,
  '3g.20gb': 4,
  '4g.20gb': 4,
  '7g.40gb': 8
}

/** The hardware, and the instances that run on it. They run on when the broker dies. */
class World {
  readonly running = new Map<string, Binding>()
  readonly #users = new Map<string, string>()
  doubles = 0
  started = 0

  /** An instance that runs already learns its newest token. */
  start(binding: Binding): void {
    const before = this.running.get(binding.uid)
    this.running.set(binding.uid, binding)
    if (before) return
    this.started++
    for (const part of partsOf(binding)) {
      if (this.#users.has(part)) this.doubles++
      this.#users.set(part, binding.uid)
    }
  }

  stop(uid: string): Binding | undefined {
    const binding = this.running.get(uid)
    if (!binding) return undefined
    for (const [part, user] of this.#users) if (user === uid) this.#users.delete(part)
    this.running.delete(uid)
    return binding
  }
}

function partsOf({ devices }: Binding): string[] {
  return devices.flatMap(({ card, start, profile, sharing }) => {
    const slices = sharing === 'mig' ? size[profile!]! : sharing === 'whole' ? 8 : 1
    return Array.from({ length: slices }, (_, at) => `${card} ${start + at}`)
  })
}

t.test(`no part of a card has two users in ${steps} steps with faults`, async (t) => {
  const seed = Number(process.env.INTERLINK_TEST_SEED ?? 20261121)
  t.comment(`INTERLINK_TEST_SEED=${seed}`)
  const random = seeded(seed)
  const below = (count: number) => Math.floor(random() * count)
  const oneOf = <T>(all: readonly T[]): T => all[below(all.length)]!

  const cards: Card[] = [
    ...['a', 'b', 'c'].map((owner, index) => aCard(mig(), { host: `h${index % 2}`, owner })),
    aCard({ type: 'whole', geometry: 'a100-40gb' }, { host: 'h1' }),
    aCard({ type: 'timeslice', replicas: 3 }, { host: 'h0' }),
    aCard(
      { type: 'fpga', shell: 'xilinx_u55c_gen3x16_xdma_base_3', user: '0000:af:00.1' },
      { vendor: 'xilinx.com', host: 'h1' }
    )
  ]
  const wishes = [
    ...['1g.5gb', '1g.5gb.me', '1g.10gb', '2g.10gb', '3g.20gb', '4g.20gb', '7g.40gb'].map((name) => ({
      [slice(name)]: 1
    })),
    { [slice('1g.5gb')]: 3 },
    { 'nvidia.com/gpu': 1 },
    { 'nvidia.com/gpu.shared': 1 },
    { 'xilinx.com/fpga': 1 }
  ]
  const policy = policyWith({
    lending: { graceSeconds: 5 },
    quotas: { d: { [slice('1g.5gb')]: 6 } },
    maxLeaseSeconds: 300
  })

  const faults: readonly DiskFault[] = ['full', 'full and stuck', 'dies before', 'dies within', 'dies after']
  let disk = new FaultyDisk(() => (random() < 0.02 ? oneOf(faults) : undefined))
  let clock = 1_000_000
  let inventory = cards
  const world = new World()
  const uids = Array.from({ length: 30 }, (_, index) => `pod-${index}`)
  /** Tokens of bindings that were released, which a late caller may still name. */
  const stale = new Map<string, number>()
  const seen = new Map<string, number>()
  const open = () => DeviceBroker.open({ dir: '/nowhere', inventory, policy, now: () => clock, store: disk })
  let broker = await open()

  /** As resource claims were allocated them: some of it may be in use, or of one card twice. */
  const exactly = (): Pick<DeviceRequest, 'resources' | 'exactly'> => {
    const parts = Array.from({ length: 1 + below(2) }, () => {
      const card = oneOf(cards)
      const { resource, start } = oneOf([...shapeOf(card).placements.values()].flat())
      return { card: card.id, resource, start }
    })
    const resources: Record<string, number> = {}
    for (const { resource } of parts) resources[resource] = (resources[resource] ?? 0) + 1
    return { resources, exactly: parts }
  }
  const request = (uid: string): DeviceRequest => ({
    uid,
    project: 'abcd'[uids.indexOf(uid) % 4]!,
    ...(uids.indexOf(uid) % 5 === 0
      ? exactly()
      : { resources: wishes[(uids.indexOf(uid) * 7 + below(3)) % wishes.length]! }),
    together: oneOf(['host', 'any'] as const),
    startWithinSeconds: 200
  })
  const start = async (uid: string) => {
    await broker.request(request(uid))
    const binding = await broker.bind(uid)
    const there = new Set(inventory.map(({ id }) => id))
    const named = broker.leases.get(uid)?.request.exactly?.filter(({ card }) => there.has(card))
    if (named) {
      count('named parts')
      const given = binding.devices.map(({ card, resource, start }) => ({ card, resource, start }))
      if (JSON.stringify(given) !== JSON.stringify(named)) count('other parts')
    }
    if (random() < 0.05) count('lost reply')
    else world.start(binding)
  }
  const stop = async (uid: string) => {
    const binding = world.stop(uid)
    if (!binding) return
    stale.set(uid, binding.token)
    if (random() < 0.05) count('lost release')
    else await broker.release(uid, { token: binding.token })
  }
  const restart = async (): Promise<void> => {
    count('restart')
    disk = disk.takenUp()
    broker = await open()
    clock += 1
    await broker.reconcile(new Set(world.running.keys()), clock).catch(() => {})
    if (disk.dead) await restart()
  }
  const count = (name: string) => void seen.set(name, (seen.get(name) ?? 0) + 1)

  const acts: readonly (readonly [weight: number, name: string, act: () => Promise<unknown>])[] = [
    [40, 'start', () => start(oneOf(uids))],
    [30, 'stop', () => stop(oneOf(uids))],
    [4, 'two at once', () => Promise.allSettled([start(oneOf(uids)), start(oneOf(uids)), stop(oneOf(uids))])],
    [
      5,
      'late release',
      async () => {
        const uid = oneOf(uids)
        const token = stale.get(uid)
        if (token !== undefined) await broker.release(uid, { token })
      }
    ],
    [
      5,
      'sweep',
      async () => {
        for (const { uid } of await broker.sweep()) await stop(uid)
      }
    ],
    [5, 'time passes', async () => void (clock += below(20_000))],
    [2, 'drain', () => broker.drain(oneOf(cards).id, random() < 0.4 ? 'fan' : undefined, 5).catch(() => {})],
    [
      2,
      'device pulled out or put back',
      () => {
        const without = oneOf(cards)
        inventory = inventory.length < cards.length ? cards : cards.filter((card) => card !== without)
        return broker.update(inventory)
      }
    ],
    [
      1,
      'repartition',
      async () => {
        const { requests } = broker.plan([request(oneOf(uids))])
        for (const { repartition } of requests) if (repartition) await broker.repartition(repartition)
      }
    ],
    [1, 'kill', restart]
  ]
  const total = acts.reduce((sum, [weight]) => sum + weight, 0)

  for (let step = 0; step < steps; step++) {
    clock += below(50)
    let at = random() * total
    const [, name, act] = acts.find(([weight]) => (at -= weight) < 0)!
    count(name)
    try {
      await act()
    } catch (error) {
      if (!(error instanceof PluginError)) throw error
      count(error.code)
    }
    if (disk.dead) await restart()
    if (world.doubles > 0) break
  }
  t.equal(world.doubles, 0, 'double assignments')
  t.equal(seen.get('other parts'), undefined, 'who names its parts has these')
  t.comment(JSON.stringify(Object.fromEntries(seen)), `${world.started} starts`)
  for (const name of [
    'lost reply',
    'lost release',
    'restart',
    'late release',
    'repartition',
    'named parts',
    'PLUGIN_DEVICES_BUSY',
    'PLUGIN_DEVICES_JOURNAL'
  ])
    t.ok((seen.get(name) ?? 0) > 100, `${name} has been tried`)
  t.ok(world.started > steps / 20)
})
