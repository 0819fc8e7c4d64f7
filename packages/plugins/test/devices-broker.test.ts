import t from 'tap'
import type { BrokerEvent } from '../src/kit/devices/broker-events.ts'
import { DeviceBroker } from '../src/kit/devices/broker.ts'
import type { Card } from '../src/kit/devices/card.ts'
import type { DeviceRequest } from '../src/kit/devices/lease.ts'
import { nodeOffer } from '../src/kit/devices/node-offer.ts'
import type { DevicePolicy } from '../src/kit/devices/policy.ts'
import { deviceOffer } from '../src/kit/devices/device-offer.ts'
import { aCard, FaultyDisk, mig, policyWith, slice } from './support-devices.ts'

const clock = { now: 1_000_000 }
const pass = (seconds: number) => void (clock.now += seconds * 1000)

async function broker(
  inventory: readonly Card[],
  policy: object | DevicePolicy = {},
  disk = new FaultyDisk()
) {
  const opened = await DeviceBroker.open({
    dir: '/devices',
    inventory,
    policy: 'rank' in policy ? (policy as DevicePolicy) : policyWith(policy),
    now: () => clock.now,
    store: disk
  })
  const events: BrokerEvent[] = []
  opened.watch((event) => events.push(event))
  const get = async (uid: string, resource: string, more: Partial<DeviceRequest> = {}) => {
    await opened.request({ uid, project: uid.split('-')[0]!, resources: { [resource]: 1 }, ...more })
    return opened.bind(uid)
  }
  return { broker: opened, events, get, disk }
}

const planOf = (extended: Record<string, number>, nodeSelector?: Record<string, string>) =>
  ({
    pod: { uid: 'u1', name: 'train', namespace: 'lab', ...(nodeSelector ? { nodeSelector } : {}) },
    resources: { extended }
  }) as unknown as Parameters<DeviceBroker['acquire']>[0]

t.test('a pod is given paths, UUIDs and the variables that make programs use them', async (t) => {
  const gpu = (n: number): Card =>
    aCard(
      { type: 'whole' },
      { uuid: `GPU-${n}`, pci: `0000:3b:00.${n}`, paths: [`/dev/nvidia${n}`, '/dev/nvidiactl'] }
    )
  const { broker: devices } = await broker([gpu(0), gpu(1), gpu(2)])
  t.equal(await devices.acquire(planOf({ 'example.com/dongle': 1 })), undefined, 'not the broker’s business')
  const binding = (await devices.acquire(planOf({ 'nvidia.com/gpu': 2 })))!
  t.same(binding.env, { CUDA_VISIBLE_DEVICES: 'GPU-0,GPU-1', NVIDIA_VISIBLE_DEVICES: 'GPU-0,GPU-1' })
  t.same(binding.paths, ['/dev/nvidia0', '/dev/nvidiactl', '/dev/nvidia1'])
  t.same((await devices.acquire(planOf({ 'nvidia.com/gpu': 2 })))!.devices, binding.devices)
})

t.test('a MIG device is made after its lease is durable, and then has its UUID', async (t) => {
  const { broker: devices, get, disk } = await broker([aCard(mig(), { id: 'GPU-m', pci: '0000:3b:00.0' })])
  const binding = await get('lab-1', slice('3g.20gb'))
  t.match(disk.content.toString(), /"type":"bind","uid":"lab-1"/)
  t.match(binding.devices, [
    { profile: '3g.20gb', start: 4, create: ['nvidia-smi', 'mig', '-i', '0000:3b:00.0', '-cgi', '9:4', '-C'] }
  ])
  t.same(binding.env, {})
  const uuids = [{ card: 'GPU-m', start: 4, uuid: 'MIG-7' }]
  const made = await devices.realised('lab-1', binding.token, uuids)
  t.equal(made.env.CUDA_VISIBLE_DEVICES, 'MIG-7')
  t.equal(made.devices[0]!.create, undefined)
  await t.rejects(devices.realised('lab-1', binding.token - 1, uuids), { code: 'PLUGIN_DEVICES_UNKNOWN' })
})

t.test('every way of sharing says what a user needs', async (t) => {
  const cards = [
    aCard(
      {
        type: 'timeslice',
        replicas: 2,
        memoryMiB: 4000,
        mps: { pipeDirectory: '/run/mps', activeThreadPercentage: 50 }
      },
      { uuid: 'GPU-s' }
    ),
    aCard({ type: 'sriov', functions: ['0000:3b:00.4', '0000:3b:00.5'] }, { pci: '0000:3b:00.0' }),
    aCard({ type: 'mdev', profile: 'GRID T4-1Q', typeId: 'nvidia-222', count: 2 }),
    aCard(
      {
        type: 'fpga',
        shell: 's',
        user: '0000:af:00.1',
        management: '0000:af:00.0',
        renderNode: '/dev/dri/renderD129',
        accelerators: ['vadd', 'fft']
      },
      { vendor: 'xilinx.com', paths: ['/dev/xclmgmt44800'] }
    ),
    aCard({ type: 'whole' }, { vendor: 'amd.com', uuid: 'GPU-amd' })
  ]
  const { get } = await broker(cards)
  t.same((await get('a-1', 'nvidia.com/gpu.shared')).env, {
    CUDA_VISIBLE_DEVICES: 'GPU-s',
    NVIDIA_VISIBLE_DEVICES: 'GPU-s',
    CUDA_MPS_PIPE_DIRECTORY: '/run/mps',
    CUDA_MPS_PINNED_DEVICE_MEM_LIMIT: '0=4000M',
    CUDA_MPS_ACTIVE_THREAD_PERCENTAGE: '50'
  })
  t.equal((await get('a-2', 'nvidia.com/gpu-vf')).devices[0]!.pci, '0000:3b:00.5')
  t.equal((await get('a-3', 'nvidia.com/GRID_T4-1Q')).devices[0]!.profile, 'GRID T4-1Q')
  const fpga = await get('a-4', 'xilinx.com/fpga')
  t.match(fpga.devices, [{ pci: '0000:af:00.1', accelerator: 'fft' }])
  t.same(fpga.paths, ['/dev/dri/renderD129'], 'never the management function')
  t.same((await get('a-5', 'amd.com/gpu')).env, { ROCR_VISIBLE_DEVICES: 'GPU-amd' })
})

t.test('what can never be served is refused at the door, with what there is', async (t) => {
  const { broker: devices, get } = await broker(
    [aCard(mig(), { owner: 'physics' }), aCard({ type: 'whole' }, { host: 'h1', labels: { tier: 'a' } })],
    { lending: { lend: false }, quotas: { '*': { 'nvidia.com/gpu': 1 } } }
  )
  const refused: readonly (readonly [Partial<DeviceRequest>, RegExp])[] = [
    [
      { resources: { 'nvidia.com/mig-1g.18gb': 1 } },
      /no card here offers nvidia\.com\/mig-1g\.18gb; expected one of nvidia\.com\/gpu, /
    ],
    [
      { resources: { 'nvidia.com/gpu': 2 } },
      /may have 1 of nvidia\.com\/gpu at the same time; ask for no more than that/
    ],
    [{ resources: { [slice('1g.5gb')]: 1 } }, /no cards that lab may use have 1 of/],
    [
      { resources: { 'nvidia.com/gpu': 1 }, labels: { tier: 'b' } },
      /ask for less, or for other hosts, models or labels/
    ]
  ]
  for (const [more, words] of refused)
    await t.rejects(get('lab-1', 'x', more), { code: 'PLUGIN_DEVICES_REFUSED', message: words })
  await t.rejects(get('lab-1', 'nvidia.com/gpu', { resources: { 'nvidia.com/gpu': 0 } }), {
    code: 'PLUGIN_DEVICES_INVALID',
    message: /^devices: resources\.nvidia\.com.*: must be >= 1/
  })
  await t.rejects(devices.bind('nobody'), { code: 'PLUGIN_DEVICES_UNKNOWN' })
  t.equal((await get('physics-1', slice('7g.40gb'))).devices.length, 1, 'the owner has it')
})

t.test('a wish holds nothing until it starts, and what stops gives back at once', async (t) => {
  const { broker: devices, get } = await broker([aCard({ type: 'whole' })])
  await devices.request({ uid: 'a-stopped', project: 'a', resources: { 'nvidia.com/gpu': 1 } })
  const running = await get('b-1', 'nvidia.com/gpu')
  await t.rejects(devices.bind('a-stopped'), { code: 'PLUGIN_DEVICES_BUSY', retry: 'yes' })
  t.equal(await devices.release('b-1', { token: running.token }), true)
  t.equal(await devices.release('b-1', { token: running.token }), false)
  t.equal((await devices.bind('a-stopped')).devices.length, 1)
})

t.test('what has ended while nobody looked is released, and what began since is not', async (t) => {
  const { broker: devices, get } = await broker([aCard({ type: 'timeslice', replicas: 3 })])
  await get('a-gone', 'nvidia.com/gpu.shared')
  await get('a-there', 'nvidia.com/gpu.shared')
  pass(1)
  const listedAt = clock.now
  await get('a-new', 'nvidia.com/gpu.shared')
  t.same(await devices.reconcile(new Set(['a-there']), listedAt), ['a-gone'])
})

t.test('an owner takes back lent slices with notice, and nobody comes in between', async (t) => {
  const {
    broker: devices,
    get,
    events
  } = await broker([aCard(mig(), { owner: 'physics' })], {
    lending: { graceSeconds: 60 }
  })
  for (const uid of ['bio-1', 'bio-2', 'bio-3']) {
    await get(uid, slice('2g.10gb'))
    pass(1)
  }
  await t.rejects(get('physics-1', slice('3g.20gb'), { name: 'physics/sim' }), {
    code: 'PLUGIN_DEVICES_BUSY',
    message: /1 that borrow were told to go; ask again when they have/
  })
  const told = events.filter((event) => event.type === 'preempted')
  t.match(
    told,
    [
      {
        uid: 'bio-1',
        preemption: {
          reason: 'owner',
          project: 'bio',
          byProject: 'physics',
          message: 'physics, who owns the card, needs it for physics/sim',
          deadline: clock.now + 60_000
        }
      }
    ],
    'one is enough, and it is the one whose place is right for a 3g'
  )
  await t.rejects(devices.bind('physics-1'), /told to go/)
  t.equal(events.filter((event) => event.type === 'preempted').length, 1, 'told once')
  t.same(await devices.sweep(), [])
  pass(61)
  t.match(await devices.sweep(), [{ uid: 'bio-1' }], 'the backend is told whom to end')
  await devices.release('bio-1')
  await t.rejects(get('chem-1', slice('2g.10gb')), { code: 'PLUGIN_DEVICES_BUSY' }, 'kept for the owner')
  t.equal((await devices.bind('physics-1')).devices.length, 1)
})

t.test('an owner never takes from itself, nor before the time that a borrower has', async (t) => {
  const lending = { minimumSeconds: 100 }
  const {
    broker: devices,
    get,
    events
  } = await broker([aCard({ type: 'whole' }, { owner: 'physics' })], { lending })
  await get('bio-1', 'nvidia.com/gpu')
  const asks = () => get('physics-1', 'nvidia.com/gpu').catch(() => undefined)
  await asks()
  t.notOk(events.some(({ type }) => type === 'preempted'))
  pass(101)
  await asks()
  t.equal(events.filter(({ type }) => type === 'preempted').length, 1)
  await devices.release('bio-1')
  await asks()
  await get('physics-2', 'nvidia.com/gpu').catch(() => undefined)
  t.equal(events.filter(({ type }) => type === 'preempted').length, 1)
})

t.test('owners use their own cards first, then nobody’s, then borrowed ones', async (t) => {
  const cards = ['physics', undefined, 'bio'].map((owner) =>
    aCard({ type: 'whole' }, { id: owner ?? 'common', ...(owner ? { owner } : {}) })
  )
  const { get } = await broker(cards)
  const given = []
  for (const uid of ['physics-1', 'physics-2', 'physics-3'])
    given.push((await get(uid, 'nvidia.com/gpu')).devices[0]!.card)
  t.same(given, ['physics', 'common', 'bio'])
})

t.test('who has used less goes first, and a share counts', async (t) => {
  const { broker: devices, get } = await broker([aCard({ type: 'whole' })], { shares: { rich: 10 } })
  const use = async (uid: string, seconds: number) => {
    await get(uid, 'nvidia.com/gpu')
    pass(seconds)
    await devices.release(uid)
  }
  await use('greedy-0', 1000)
  await use('rich-0', 5000)
  await get('modest-0', 'nvidia.com/gpu')
  for (const uid of ['greedy-1', 'rich-1', 'modest-1'])
    await get(uid, 'nvidia.com/gpu').catch(() => undefined)
  await devices.release('modest-0')
  await t.rejects(devices.bind('greedy-1'), { code: 'PLUGIN_DEVICES_BUSY' }, 'two go first')
  await t.rejects(devices.bind('rich-1'), { code: 'PLUGIN_DEVICES_BUSY' }, 'one goes first')
  await devices.bind('modest-1')
  await devices.release('modest-1')
  await devices.bind('rich-1')
})

t.test('a quota makes wait, and is free again', async (t) => {
  const { broker: devices, get } = await broker([aCard({ type: 'timeslice', replicas: 4 })], {
    quotas: { lab: { 'nvidia.com/gpu.shared': 1 } }
  })
  await get('lab-1', 'nvidia.com/gpu.shared')
  await t.rejects(get('lab-2', 'nvidia.com/gpu.shared'), {
    code: 'PLUGIN_DEVICES_BUSY',
    message: /project lab may have 1 of nvidia\.com\/gpu\.shared at the same time and has 1; it waits until/
  })
  await get('other-1', 'nvidia.com/gpu.shared')
  await devices.release('lab-1')
  await devices.bind('lab-2')
})

t.test('time that is up is told before it is, and wishes that nobody starts lapse', async (t) => {
  const {
    broker: devices,
    get,
    events
  } = await broker([aCard({ type: 'whole' })], {
    maxLeaseSeconds: 1000,
    lending: { graceSeconds: 100 }
  })
  const { until } = await get('a-1', 'nvidia.com/gpu')
  t.equal(until, clock.now + 1_000_000)
  await devices.request({
    uid: 'b-1',
    project: 'b',
    resources: { 'nvidia.com/gpu': 1 },
    startWithinSeconds: 50
  })
  pass(901)
  t.same(await devices.sweep(), [])
  t.match(events.at(-1), { type: 'preempted', preemption: { reason: 'time', deadline: until } })
  await t.rejects(devices.bind('b-1'), { code: 'PLUGIN_DEVICES_UNKNOWN' })
  pass(100)
  t.match(await devices.sweep(), [{ uid: 'a-1', reason: 'time' }])
  await t.rejects(get('c-1', 'nvidia.com/gpu'), { code: 'PLUGIN_DEVICES_BUSY' }, 'not before it has stopped')
})

t.test('a drained card takes nobody, tells its holders, and comes back', async (t) => {
  const card = aCard({ type: 'timeslice', replicas: 2 })
  const { broker: devices, get, events } = await broker([card])
  await get('a-1', 'nvidia.com/gpu.shared')
  await devices.drain(card.id, 'fan is loud', 30)
  t.match(events.at(-1), {
    type: 'preempted',
    uid: 'a-1',
    preemption: { reason: 'drain', message: /fan is loud/ }
  })
  await t.rejects(get('a-2', 'nvidia.com/gpu.shared'), { code: 'PLUGIN_DEVICES_BUSY' })
  t.match(devices.status().cards, [{ drained: 'fan is loud', free: 1, holders: [{ uid: 'a-1' }] }])
  await devices.drain(card.id, undefined)
  t.equal(events.at(-1)!.type, 'room')
  await devices.bind('a-2')
  await t.rejects(devices.drain('GPU-none', 'x'), { code: 'PLUGIN_DEVICES_UNKNOWN' })
})

t.test('a card that is pulled out keeps its lease, and is not given again when it is back', async (t) => {
  const card = aCard({ type: 'whole' })
  const { broker: devices, get, events } = await broker([card])
  await get('a-1', 'nvidia.com/gpu')
  await devices.update([])
  t.same(events.at(-2), { type: 'lost', uid: 'a-1' })
  t.same((await devices.bind('a-1')).devices, [])
  await devices.update([card])
  await t.rejects(get('a-2', 'nvidia.com/gpu'), { code: 'PLUGIN_DEVICES_BUSY' })
  await devices.release('a-1')
  await devices.bind('a-2')
})

t.test('a card that came back cut in another way takes nobody until its holders have gone', async (t) => {
  const card = aCard(mig(), { id: 'GPU-cut' })
  const { broker: devices, get } = await broker([card])
  await get('a-1', slice('3g.20gb'))
  await devices.update([{ ...card, sharing: { type: 'timeslice', replicas: 8 } }])
  await t.rejects(get('a-2', 'nvidia.com/gpu.shared'), { code: 'PLUGIN_DEVICES_BUSY' })
  await devices.release('a-1')
  await devices.bind('a-2')
})

t.test('a card that came back under another id takes nobody until its holders have gone', async (t) => {
  const card = aCard({ type: 'whole' }, { id: 'XFL1', pci: '0000:af:00.1' })
  const { get, disk } = await broker([card])
  await get('a-1', 'nvidia.com/gpu')
  const { broker: next, get: getNext } = await broker(
    [{ ...card, id: 'h0/0000:af:00.1' }],
    {},
    disk.takenUp()
  )
  await t.rejects(getNext('a-2', 'nvidia.com/gpu'), { code: 'PLUGIN_DEVICES_BUSY' })
  await next.release('a-1')
  await next.bind('a-2')
})

t.test('a plan shows who would get what, and changes idle cards only on a word', async (t) => {
  const card = aCard({ type: 'whole', geometry: 'a100-40gb' })
  const { broker: devices, get } = await broker([card])
  const wish = (uid: string): DeviceRequest => ({ uid, project: 'a', resources: { [slice('3g.20gb')]: 1 } })
  const { requests, bound } = devices.plan([
    wish('a-1'),
    { ...wish('a-2'), resources: { 'nvidia.com/gpu': 1 } }
  ])
  t.equal(bound, 1)
  t.match(requests, [
    { uid: 'a-1', repartition: [{ card: { id: card.id }, to: { type: 'mig' }, resets: true }] },
    { uid: 'a-2', devices: [{ card: card.id }] }
  ])
  await t.rejects(
    get('a-1', slice('3g.20gb')),
    { code: 'PLUGIN_DEVICES_BUSY' },
    'a bind never changes a card'
  )
  await get('b-1', 'nvidia.com/gpu')
  await t.rejects(devices.repartition(requests[0]!.repartition!), { code: 'PLUGIN_DEVICES_IN_USE' })
  await devices.release('b-1')
  await devices.repartition(requests[0]!.repartition!)
  t.equal((await devices.bind('a-1')).devices[0]!.profile, '3g.20gb')
})

t.test('a calendar of bookings is a policy around the policy', async (t) => {
  const plain = policyWith()
  const booked: DevicePolicy = {
    ...plain,
    rank: (request, group, view) =>
      group.host === 'h1' && request.project !== 'course' ? undefined : plain.rank(request, group, view),
    until: (_, __, { now }) => now + 60_000
  }
  const { get } = await broker([aCard({ type: 'whole' }, { host: 'h1' })], booked)
  await t.rejects(get('a-1', 'nvidia.com/gpu'), { code: 'PLUGIN_DEVICES_REFUSED' })
  t.equal((await get('course-1', 'nvidia.com/gpu')).until, clock.now + 60_000)
})

t.test('the node is told names, models, what is free, labels and taints', async (t) => {
  const { broker: devices, get } = await broker([
    aCard(mig('a30-24gb'), { model: 'NVIDIA A30' }),
    aCard({ type: 'fpga', shell: 's', user: '0000:af:00.1' }, { vendor: 'xilinx.com', model: 'U55C' })
  ])
  await get('a-1', slice('2g.12gb'))
  const { accelerators, labels, taints } = nodeOffer(devices.pool, { fpgaTaint: true })
  t.same(
    accelerators.map(({ resourceType, available, free }) => [resourceType, available, free]),
    [
      ['nvidia.com/mig-1g.6gb', '4', '2'],
      ['nvidia.com/mig-1g.6gb.me', '1', '1'],
      ['nvidia.com/mig-2g.12gb', '2', '1'],
      ['nvidia.com/mig-2g.12gb.me', '1', '1'],
      ['nvidia.com/mig-4g.24gb', '1', '0'],
      ['xilinx.com/fpga', '1', '1']
    ]
  )
  t.same(labels, { 'accelerator.interlink.io/NVIDIA-A30': '1', 'accelerator.interlink.io/U55C': '1' })
  t.same(taints, [{ key: 'accelerator-FPGA', value: 'U55C', effect: 'NoSchedule' }])
})

t.test('devices for resource claims say by counters which parts of a card exclude each other', async (t) => {
  const cards = [
    ...Array.from({ length: 9 }, (_, n) =>
      aCard(mig(), { id: `GPU-${n}`, memoryMiB: 40_960, numa: 1, pci: `0000:3b:00.${n % 8}` })
    ),
    aCard({ type: 'whole' }, { id: 'GPU-whole' })
  ]
  const { broker: devices } = await broker(cards)
  const { devices: all, sharedCounters: counters = [] } = deviceOffer(devices.pool)
  t.equal(counters.length, 9)
  t.equal(all.length, 9 * 25 + 1)
  t.equal(new Set(all.map(({ name }) => name)).size, all.length)
  const three = all.find(({ name }) => name === 'gpu-0-3g-20gb-4')!
  t.same(three.consumesCounters, [
    {
      counterSet: 'gpu-0',
      counters: Object.fromEntries([4, 5, 6, 7].map((at) => [`memory-slice-${at}`, { value: '1' }]))
    }
  ])
  t.same(three.capacity, { memory: { value: '20480Mi' }, computeSlices: { value: '3' } })
  t.match(three.attributes, {
    profile: { string: '3g.20gb' },
    numa: { int: 1 },
    'resource.kubernetes.io/pciBusID': { string: '0000:3b:00.0' }
  })
  const declared = new Map(counters.map(({ name, counters }) => [name, Object.keys(counters)]))
  for (const { consumesCounters = [] } of all)
    for (const { counterSet, counters } of consumesCounters)
      if (!Object.keys(counters).every((counter) => declared.get(counterSet)!.includes(counter)))
        t.fail(counterSet)
  t.notOk(all.find(({ name }) => name === 'gpu-whole')!.consumesCounters)
})
