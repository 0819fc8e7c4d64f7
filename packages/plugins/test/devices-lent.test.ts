import t, { type Test } from 'tap'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { pino } from 'pino'
import type { InterlinkError } from '@interlink-ts/interlink-api/errors'
import { of, type RunningPod } from '../../../test/conformance/workbench.ts'
import { eventually } from '../../../test/support/eventually.ts'
import { startPlugin } from '../src/kit/server/start-plugin.ts'
import { processBackend } from '../src/process/index.ts'
import { slurmBackend } from '../src/slurm/index.ts'
import { startSite, type Site } from './support-process.ts'

const slice = 'nvidia.com/mig-3g.20gb'
const fpga = 'xilinx.com/fpga'

const instances = `instances:
        - { profile: 3g.20gb, start: 0, uuid: MIG-one }
        - { profile: 3g.20gb, start: 4, uuid: MIG-two }`

const cards = (more = instances, owner = '') => `cards:
  - id: GPU-a
    model: NVIDIA A100-SXM4-40GB
    paths: [/dev/nvidia0]
    ${owner}
    sharing:
      type: mig
      geometry: a100-40gb
      ${more}
  - id: U55C-1
    vendor: xilinx.com
    model: Alveo U55C
    paths: [/dev/dri/renderD128]
    sharing: { type: fpga, shell: xilinx_u55c_gen3x16_xdma_base_3 }
`

const configOf = (t: Test, inventory: string, policy = {}) => {
  const dir = t.testdir({ 'cards.yaml': inventory })
  return { inventory: join(dir, 'cards.yaml'), directory: join(dir, 'leases'), policy }
}

const startLending = (t: Test, inventory = cards(), policy = {}): Promise<Site> =>
  startSite(t, { config: { devices: configOf(t, inventory, policy) } })

const limits = (extended: Record<string, number>) => ({ resources: { limits: extended } })
const stay = 'echo "has ${CUDA_VISIBLE_DEVICES-none}"; while :; do sleep 0.1; done'

async function holder(site: Site, name: string, namespace = 'conformance') {
  const spec = { terminationGracePeriodSeconds: 1, containers: [site.shell(stay, limits({ [slice]: 1 }))] }
  const pod = await site.run(spec, { name, namespace, uid: uidOf(`${site.dir} ${name}`), once: true })
  await pod.said('has ')
  return { pod, uuid: (await pod.log()).trim() }
}

const uids = new Map<string, string>()
const uidOf = (name: string): string => {
  const uid = uids.get(name) ?? randomUUID()
  uids.set(name, uid)
  return uid
}

const codeOf = (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => undefined,
    (error: InterlinkError) => error.code
  )

const end = async (pod: RunningPod) => {
  await pod.delete(0)
  await pod.gone()
}

t.test('devices of a plugin', async (t) => {
  const site = await startLending(t)

  await t.test('each pod has a slice of its own until it ends, and who finds none waits', async (t) => {
    const [one, two] = [await holder(site, 'one'), await holder(site, 'two')]
    t.same([one.uuid, two.uuid].sort(), ['has MIG-one', 'has MIG-two'])
    const { resources } = JSON.parse((await site.client.ping()).body ?? '') as { resources: object }
    t.match(resources, {
      accelerators: [
        { resourceType: slice, available: '2', free: '0' },
        { resourceType: fpga, free: '1' }
      ]
    })
    t.equal(await codeOf(holder(site, 'three')), 'PLUGIN_DEVICES_BUSY')
    await end(one.pod)
    const three = await eventually(() => holder(site, 'three').catch(() => undefined))
    t.equal(three.uuid, one.uuid, 'what has come back')
    await end(two.pod)
    await end(three.pod)
  })

  await t.test(
    'containers of one pod have different devices, and those that ask for none have none',
    async (t) => {
      const say = (name: string, more = {}) => ({
        ...site.shell('echo "has ${CUDA_VISIBLE_DEVICES-none}"', more),
        name
      })
      const pod = await site.run({
        initContainers: [say('before', limits({ [slice]: 1 }))],
        containers: [say('a', limits({ [slice]: 1 })), say('b', limits({ [slice]: 1 })), say('c')]
      })
      await pod.ended()
      const [before, a, b, c] = await Promise.all(['before', 'a', 'b', 'c'].map((name) => pod.log(name)))
      t.same([a, b].sort(), ['has MIG-one\n', 'has MIG-two\n'])
      t.equal(c, 'has none\n')
      t.equal(before, a, 'which is there before them')
    }
  )

  await t.test('what could never be given is refused', async (t) => {
    const asked = site.run({ containers: [site.shell('true', limits({ [slice]: 3 }))] })
    await t.rejects(asked, { code: 'PLUGIN_DEVICES_REFUSED', message: /mig-3g\.20gb/ })
  })
})

t.test('an owner takes back what was lent: the borrower is told, and ends as preempted', async (t) => {
  const site = await startLending(t, cards(instances, 'owner: physics'), { lending: { graceSeconds: 2 } })
  const borrowers = [await holder(site, 'one'), await holder(site, 'two')]
  t.equal(await codeOf(holder(site, 'mine', 'physics')), 'PLUGIN_DEVICES_BUSY')
  const told = await eventually(async () => {
    for (const { pod } of borrowers) {
      const status = await pod.status()
      if (status?.notices?.some(({ reason }) => reason === 'DevicesTakenBack')) return pod
    }
    return undefined
  })
  const over = await told.ended()
  t.match(over, { reason: 'Preempted', message: /^physics, who owns the card, needs it for physics\/mine/ })
  t.equal(of(over).state!.terminated!.exitCode, 143)
  await eventually(() => holder(site, 'mine', 'physics').catch(() => undefined))
  const stayed = borrowers.find(({ pod }) => pod !== told)!.pod
  t.ok(of((await stayed.status())!).state!.running, 'nobody else had to go')
})

t.test('a plugin that lends by claims gives the devices that are named, and nothing else', async (t) => {
  const site = await startSite(t, { config: { devices: { ...configOf(t, cards()), offers: 'claims' } } })
  const claim = (devices: Record<string, readonly object[]>) => ({
    annotations: { 'interlink.io/claims': JSON.stringify(devices) },
    once: true
  })
  const [first, second] = ['gpu-a-3g-20gb-0', 'gpu-a-3g-20gb-4']
  const say = (name: string, ...claims: readonly object[]) => ({
    ...site.shell('echo "has ${CUDA_VISIBLE_DEVICES-none}"', { resources: { claims } }),
    name
  })
  const both = { gpus: [first, second].map((device, at) => ({ request: `r${at}/sub`, device })) }

  const answer = JSON.parse((await site.client.ping()).body ?? '') as { capabilities: string[] }
  t.ok(answer.capabilities.includes('devices'))
  t.notMatch(JSON.stringify(answer), slice, 'it is offered in one way')
  t.same((await site.client.devices()).devices.map(({ name }) => name).sort(), [first, second, 'u55c-1'])

  const pod = await site.run(
    {
      resourceClaims: [{ name: 'gpus' }],
      initContainers: [say('before', { name: 'gpus' })],
      containers: [
        say('one', { name: 'gpus', request: 'r1' }),
        say('same', { name: 'gpus', request: 'r1' }),
        say('all', { name: 'gpus' }),
        say('none')
      ]
    },
    claim(both)
  )
  await pod.ended()
  for (const [name, has] of [
    ['before', 'MIG-one,MIG-two'],
    ['one', 'MIG-two'],
    ['same', 'MIG-two'],
    ['all', 'MIG-one,MIG-two'],
    ['none', 'none']
  ] as const)
    t.equal(await pod.log(name), `has ${has}\n`, name)

  const asking = {
    resourceClaims: [{ name: 'gpus' }],
    terminationGracePeriodSeconds: 1,
    containers: [site.shell(stay, { resources: { claims: [{ name: 'gpus' }] } })]
  }
  const named = (device: string) => claim({ gpus: [{ request: 'r', device }] })
  const holder = await eventually(() => site.run(asking, named(second)).catch(() => undefined))
  await holder.said('has MIG-two')
  await t.rejects(site.run(asking, named(second)), {
    code: 'PLUGIN_DEVICES_BUSY',
    message: /is on the card of its resource claim/
  })
  const beside = await site.run(asking, named(first))
  await beside.said('has MIG-one')
  await t.rejects(site.run(asking, named('gone')), {
    code: 'PLUGIN_DEVICES_REFUSED',
    message: /no card here has the device gone of its resource claim/
  })
  t.match((await site.refusal(asking, { once: true })).details.refusals, [
    {
      field: 'spec.resourceClaims[0]',
      message: /the node has not told which devices claim gpus was allocated/
    }
  ])
  const extended = { containers: [site.shell('true', limits({ [slice]: 1 }))] }
  t.match((await site.refusal(extended, { once: true })).details.refusals, [
    { field: `resources.limits[${slice}]`, message: /devices are given by resource claims here/ }
  ])
  for (const one of [holder, beside]) await end(one)
})

t.test('a plugin does not start on devices that it could not keep apart', async (t) => {
  const log = pino({ level: 'silent' })
  const start = (inventory: string, module = processBackend, more = {}) =>
    startPlugin({
      module,
      log,
      config: {
        root: join(t.testdirName, 'jobs'),
        listen: `unix://${join(t.testdirName, 'sock')}`,
        devices: { ...configOf(t, inventory), ...more } as never
      }
    })
  await t.rejects(start(cards('')), /cards\[0\]\.sharing: .*make them, and name each with the UUID/)
  const alike = 'cards: [{ id: GPU-1.2, model: A }, { id: GPU-1-2, model: A }]'
  await t.rejects(
    start(alike, processBackend, { offers: 'claims' }),
    /cards\[1\]\.id: resource claims name devices by letters and digits, of which GPU-1-2 has the same as GPU-1\.2/
  )
  await t.rejects(start(cards(), slurmBackend), /devices: containers of backend slurm get none/)
})
