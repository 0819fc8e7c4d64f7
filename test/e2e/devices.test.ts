import t from 'tap'
import { CardPool, deviceOffer, parseInventory } from '@interlink-ts/plugins/devices'
import { resourceSlices } from '@interlink-ts/vk-core/model'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { saidBy } from '../support/kubectl.ts'
import { requireReal } from '../support/require-real.ts'
import { allocatedTo, claimOf, type Claim } from './card-stack.ts'

const gates = '--feature-gates=DRAPartitionableDevices=true'

const claim = (name: string, profile: string) =>
  claimOf(name, 'interlink-device', `device.attributes["devices.interlink.io"].profile == "${profile}"`)

const pod = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    containers: [{ name: 'c', image: 'i', resources: { claims: [{ name: 'slice' }] } }],
    resourceClaims: [{ name: 'slice', resourceClaimName: name }],
    tolerations: [{ operator: 'Exists' }]
  }
})

t.test('the scheduler gives slices by claims, and none that exclude each other', async (t) => {
  if (!requireReal(t, controlPlaneUnavailable())) return
  const cluster = await startControlPlane({ flags: { 'kube-apiserver': [gates], 'kube-scheduler': [gates] } })
  t.teardown(() => cluster.stop())
  const kubectl = saidBy(cluster.kubectl)
  const apply = (...items: readonly object[]) =>
    kubectl(['apply', '--validate=strict', '-f', '-'], { apiVersion: 'v1', kind: 'List', items })
  const cards = parseInventory(
    `cards: [{ id: GPU-a, model: NVIDIA A30, memoryMiB: 24576, sharing: { type: mig, geometry: a30-24gb } }]`,
    'cards.yaml'
  )
  await apply(
    { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } },
    {
      apiVersion: 'resource.k8s.io/v1',
      kind: 'DeviceClass',
      metadata: { name: 'interlink-device' },
      spec: { selectors: [{ cel: { expression: 'device.driver == "devices.interlink.io"' } }] }
    }
  )
  const uid = await kubectl(['get', 'node', 'n1', '-o', 'jsonpath={.metadata.uid}'])
  await apply(...resourceSlices(deviceOffer(new CardPool(cards)), { name: 'n1', uid }, 1))
  await kubectl([
    'patch',
    'node',
    'n1',
    '--subresource=status',
    '-p',
    JSON.stringify({ status: { allocatable: { pods: '10' }, capacity: { pods: '10' } } })
  ])
  const given = async (name: string) =>
    allocatedTo(JSON.parse(await kubectl(['get', 'resourceclaim', name, '-o', 'json'])) as Claim)
  for (const [name, profile] of [
    ['half', '2g.12gb'],
    ['quarter', '1g.6gb']
  ] as const) {
    await apply(claim(name, profile), pod(name))
    t.match(await eventually(() => given(name)), /^gpu-a-/)
  }
  await apply(claim('whole', '4g.24gb'), pod('whole'))
  await eventually(async () => {
    const conditions = await kubectl(['get', 'pod', 'whole', '-o', 'jsonpath={.status.conditions}'])
    return conditions.includes('cannot allocate all claims')
  })
  t.equal(await given('whole'), undefined)
  const [, halfAt] = /2g-12gb-(\d)$/.exec((await given('half'))!)!
  const [, quarterAt] = /1g-6gb-(\d)$/.exec((await given('quarter'))!)!
  t.notOk([0, 1].includes(Number(quarterAt) - Number(halfAt)), 'they lie beside each other')
  await kubectl(['delete', 'pod', 'half', 'quarter', '--force', '--grace-period=0'])
  await kubectl(['delete', 'resourceclaim', 'half', 'quarter'])
  t.equal(await eventually(() => given('whole')), 'gpu-a-4g-24gb-0')
})
