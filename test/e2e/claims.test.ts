import t from 'tap'
import { pino } from 'pino'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { createKubeClient, loadKubeConfig } from '@interlink-ts/vk-core/kube'
import { createSliceKeeper, findLeftOver } from '../../packages/vk-core/src/node/slice-keeper.ts'
import { controlPlaneUnavailable } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { saidBy } from '../support/kubectl.ts'
import { requireReal } from '../support/require-real.ts'
import { allocatedTo, claimOf, halvedCard, startCardStack, type Claim } from './card-stack.ts'
import { shellPod } from './workloads.ts'

const file = (path: string) => new URL(`../../${path}`, import.meta.url).pathname
const patience = { deadlineMs: 180_000 }

const large = {
  id: 'GPU-large',
  uuid: 'GPU-large',
  model: 'NVIDIA H100 80GB HBM3',
  memoryMiB: 81_920
}
const cut = halvedCard('GPU-cut')

const stay = (script: string) => `${script}; while :; do sleep 0.1; done`
const withClaims = (name: string, claims: readonly object[], spec = {}): Pod =>
  shellPod({
    name,
    script: stay('echo "has $CUDA_VISIBLE_DEVICES"'),
    container: { resources: { claims: [{ name: 'gpu' }] } },
    spec: { resourceClaims: claims, terminationGracePeriodSeconds: 1, ...spec }
  })

interface Slice {
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly driver: string
    readonly nodeName: string
    readonly pool: { readonly generation: number }
    readonly devices: readonly { readonly name: string }[]
  }
}

t.test('pods have the devices that the scheduler has allocated to their claims', async (t) => {
  if (!requireReal(t, controlPlaneUnavailable())) return
  const { cluster, stack, kubectl, get, install, leases } = await startCardStack(t, {
    cards: [large, cut],
    devices: { offers: 'claims' },
    node: { interlink: { pingSeconds: 1 } },
    kubeconfigOf: async (cluster) => {
      await saidBy(cluster.kubectl)(['apply', '-f', file('deploy/kubernetes/rbac.yaml')])
      return cluster.kubeconfigFor('node', { user: 'system:serviceaccount:interlink:interlink-node' })
    }
  })
  const pod = (name: string) => get<Pod>('pod', name)
  const events = (name: string) =>
    kubectl(['get', 'events', '--field-selector', `involvedObject.name=${name}`])
  const slices = async () => (await get<{ items: Slice[] }>('resourceslices')).items
  const devices = async () =>
    (await slices()).flatMap(({ spec }) => spec.devices.map(({ name }) => name)).sort()
  const said = (name: string) =>
    eventually(async () => (await kubectl(['logs', name]).catch(() => '')).trim(), patience)

  await t.test('the node publishes what the broker has, and offers it in no other way', async (t) => {
    const names = ['gpu-cut-3g-20gb-0', 'gpu-cut-3g-20gb-4', 'gpu-large']
    await eventually(async () => (await devices()).length === 3, patience)
    t.same(await devices(), names)
    t.match(await slices(), [{ spec: { driver: 'devices.interlink.io', nodeName: stack.nodeName } }])
    const { status } = await get<{ status: { allocatable: Record<string, string> } }>('node', stack.nodeName)
    t.same(
      Object.keys(status.allocatable).filter((name) => name.includes('/')),
      []
    )
  })

  await t.test('a selector on model and memory leads to that device, and who finds none waits', async (t) => {
    await kubectl(['apply', '--validate=strict', '-f', file('examples/gpu-claim.yaml')])
    t.equal(await said('gpu-claim'), 'has GPU-large')
    await kubectl(['delete', 'pod', 'gpu-claim', '--wait=true'])

    const fromTemplate = [{ name: 'gpu', resourceClaimTemplateName: 'large-gpu' }]
    for (const name of ['first', 'second'])
      await kubectl(['apply', '-f', '-'], withClaims(name, fromTemplate))
    const running = await eventually(async () => {
      const found = await Promise.all(['first', 'second'].map(pod))
      return found.find(({ status }) => status?.phase === 'Running')?.metadata.name
    }, patience)
    const other = running === 'first' ? 'second' : 'first'
    await eventually(
      async () =>
        JSON.stringify((await pod(other)).status?.conditions).includes('cannot allocate all claims'),
      patience
    )
    await kubectl(['delete', 'pod', running, '--wait=true'])
    t.equal(await said(other), 'has GPU-large', 'what has come back')
    await kubectl(['delete', 'pod', other, '--wait=true'])
  })

  await t.test('each pod has exactly the part that its claim was allocated', async (t) => {
    const of = 'device.attributes["devices.interlink.io"]'
    const half = (name: string) =>
      claimOf(name, 'gpu.interlink.io', `${of}.model == "${cut.model}" && ${of}.profile == "3g.20gb"`)
    for (const name of ['left', 'right']) {
      await kubectl(['apply', '--validate=strict', '-f', '-'], half(name))
      await kubectl(['apply', '-f', '-'], withClaims(name, [{ name: 'gpu', resourceClaimName: name }]))
    }
    const uuids: Record<string, string> = { 'gpu-cut-3g-20gb-0': 'MIG-one', 'gpu-cut-3g-20gb-4': 'MIG-two' }
    const seen = new Set<string>()
    for (const name of ['left', 'right']) {
      const has = await said(name)
      const device = allocatedTo(await get<Claim>('resourceclaim', name))!
      t.equal(has, `has ${uuids[device]}`)
      seen.add(has)
    }
    t.equal(seen.size, 2)
  })

  await t.test('a claim that cannot be honoured is told, with what to do', async (t) => {
    await kubectl(['apply', '-f', '-'], claimOf('odd', 'gpu.interlink.io'))
    const past = withClaims('odd', [{ name: 'gpu', resourceClaimName: 'odd' }], { nodeName: stack.nodeName })
    await kubectl(['apply', '-f', '-'], past)
    const why = await eventually(
      async () => /FailedPrepareDynamicResources.*/.exec(await events('odd'))?.[0],
      patience
    )
    t.match(why, /resourceclaim "odd" has no devices: leave spec\.nodeName to the scheduler/)
    const { uid } = (await pod('odd')).metadata
    const device = { request: 'one', driver: 'gpu.example.com', pool: 'elsewhere', device: 'gpu-0' }
    const status = {
      allocation: { devices: { results: [device] } },
      reservedFor: [{ resource: 'pods', name: 'odd', uid }]
    }
    await kubectl([
      'patch',
      'resourceclaim',
      'odd',
      '--subresource=status',
      '--type=merge',
      '-p',
      JSON.stringify({ status })
    ])
    await eventually(async () => (await pod('odd')).status?.phase === 'Failed', patience)
    t.match((await pod('odd')).status, {
      reason: 'Refused',
      message: /spec\.resourceClaims\[0\]: .*select devices of driver devices\.interlink\.io/
    })
  })

  await t.test('the slices follow the cards, and go with the node', async (t) => {
    const before = (await slices())[0]!.spec.pool.generation
    await install(cut)
    await stack.restart('plugin')
    const halves = ['gpu-cut-3g-20gb-0', 'gpu-cut-3g-20gb-4']
    await eventually(async () => (await devices()).join() === halves.join(), patience)
    t.ok((await slices())[0]!.spec.pool.generation > before)
    t.equal((await pod('left')).status?.phase, 'Running', 'who has a part of another card goes on')

    await kubectl(['delete', 'pod', 'left', 'right', '--wait=true'])
    const given = await eventually(async () => {
      const { bound, released } = await leases()
      return bound === released && bound
    }, patience)
    t.equal(given, 5, 'each was given once and has come back')
    await stack.kill('vk')
    await kubectl(['delete', 'node', stack.nodeName])
    await eventually(async () => (await slices()).length === 0, patience)
  })

  await t.test(
    'where the API server keeps no counters, what excludes each other is not offered',
    async (t) => {
      const kube = createKubeClient(await loadKubeConfig({ path: cluster.kubeconfigPath }), {
        userAgent: 'test',
        connections: 2
      })
      t.teardown(() => kube.close())
      await kubectl(['apply', '-f', '-'], { apiVersion: 'v1', kind: 'Node', metadata: { name: 'other' } })
      const { metadata } = await get<{ metadata: { uid: string } }>('node', 'other')
      const counters = { slice: { value: '1' } }
      const consumesCounters = [{ counterSet: 'card', counters }]
      const keeper = () =>
        createSliceKeeper({
          kube,
          node: 'other',
          nodeUid: async () => metadata.uid,
          leftOver: findLeftOver(kube),
          offer: async () => ({
            sharedCounters: [{ name: 'card', counters }],
            devices: [
              { name: 'part', attributes: {}, consumesCounters },
              { name: 'whole', attributes: {} }
            ]
          }),
          log: pino({ level: 'silent' })
        })
      await keeper().onPing(['devices'])
      t.same(await devices(), ['whole'])
      await keeper().onPing([])
      t.same(
        await slices(),
        [],
        'what is no longer lent is no longer published, as the next process finds it'
      )
    }
  )
})
