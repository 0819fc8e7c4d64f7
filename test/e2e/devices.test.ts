import t from 'tap'
import { CardPool, deviceOffer, parseInventory } from '@interlink-ts/plugins/devices'
import { resourceSlices } from '@interlink-ts/vk-core/model'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'

const gates = '--feature-gates=DRAPartitionableDevices=true'

const claim = (name: string, profile: string) => ({
  apiVersion: 'resource.k8s.io/v1',
  kind: 'ResourceClaim',
  metadata: { name },
  spec: {
    devices: {
      requests: [
        {
          name: 'slice',
          exactly: {
            deviceClassName: 'interlink-device',
            selectors: [
              { cel: { expression: `device.attributes["devices.interlink.io"].profile == "${profile}"` } }
            ]
          }
        }
      ]
    }
  }
})

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

interface Claim {
  readonly status?: {
    readonly allocation?: { readonly devices?: { readonly results?: readonly { device: string }[] } }
  }
}

t.test('the scheduler gives slices by claims, and none that exclude each other', async (t) => {
  if (!requireReal(t, controlPlaneUnavailable())) return
  const cluster = await startControlPlane({ flags: { 'kube-apiserver': [gates], 'kube-scheduler': [gates] } })
  t.teardown(() => cluster.stop())
  const apply = async (...objects: readonly object[]) => {
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
    const { code, stderr } = await cluster.kubectl(['apply', '--validate=strict', '-f', '-'], { input })
    t.equal(code, 0, stderr)
  }
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
  const { stdout: uid } = await cluster.kubectl(['get', 'node', 'n1', '-o', 'jsonpath={.metadata.uid}'])
  await apply(...resourceSlices(deviceOffer(new CardPool(cards)), { name: 'n1', uid }, 1))
  const { code, stderr } = await cluster.kubectl([
    'patch',
    'node',
    'n1',
    '--subresource=status',
    '-p',
    JSON.stringify({ status: { allocatable: { pods: '10' }, capacity: { pods: '10' } } })
  ])
  t.equal(code, 0, stderr)
  const given = async (name: string) => {
    const { stdout } = await cluster.kubectl(['get', 'resourceclaim', name, '-o', 'json'])
    return (JSON.parse(stdout) as Claim).status?.allocation?.devices?.results?.[0]?.device
  }
  for (const [name, profile] of [
    ['half', '2g.12gb'],
    ['quarter', '1g.6gb']
  ] as const) {
    await apply(claim(name, profile), pod(name))
    t.match(await eventually(() => given(name)), /^gpu-a-/)
  }
  await apply(claim('whole', '4g.24gb'), pod('whole'))
  await eventually(async () => {
    const { stdout } = await cluster.kubectl(['get', 'pod', 'whole', '-o', 'jsonpath={.status.conditions}'])
    return stdout.includes('cannot allocate all claims')
  })
  t.equal(await given('whole'), undefined)
  const [, halfAt] = /2g-12gb-(\d)$/.exec((await given('half'))!)!
  const [, quarterAt] = /1g-6gb-(\d)$/.exec((await given('quarter'))!)!
  t.notOk([0, 1].includes(Number(quarterAt) - Number(halfAt)), 'they lie beside each other')
  await cluster.kubectl(['delete', 'pod', 'half', 'quarter', '--force', '--grace-period=0'])
  await cluster.kubectl(['delete', 'resourceclaim', 'half', 'quarter'])
  t.equal(await eventually(() => given('whole')), 'gpu-a-4g-24gb-0')
})
