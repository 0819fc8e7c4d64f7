import t from 'tap'
import type { DeviceOffer, Pod } from '@interlink-ts/interlink-api/wire'
import { KubeError } from '../src/kube/errors.ts'
import type { KubeClient } from '../src/kube/types.ts'
import { claimedDevices, podClaims, type ResourceClaim } from '../src/model/claims.ts'
import { resourceSlices } from '../src/model/resource-slices.ts'
import { withClaims } from '../src/pods/claims.ts'
import type { PodContext } from '../src/pods/context.ts'

const driver = 'devices.interlink.io'
const node = { uid: 'u-1', nodeName: 'edge' }
const named = { name: 'gpu', field: 'spec.resourceClaims[0]', claim: 'c' }
const result = { request: 'r', driver, pool: 'edge', device: 'gpu-0' }
const allocated = (more: object = {}, reservedFor = [{ resource: 'pods', uid: 'u-1' }]): ResourceClaim => ({
  status: { reservedFor, allocation: { devices: { results: [result], ...more } } }
})
const podWith = (
  claims: readonly object[],
  more: { annotations?: Record<string, string>; status?: object } = {}
) =>
  ({
    metadata: { name: 'p', namespace: 'ns', uid: 'u-1', annotations: more.annotations },
    spec: { containers: [], resourceClaims: claims },
    status: more.status
  }) as unknown as Pod

t.test(
  'devices of a node are given by its own driver and pool alone, and as they were allocated',
  async (t) => {
    t.same(claimedDevices(named, allocated(), node), { devices: [{ request: 'r', device: 'gpu-0' }] })
    const refused = {
      'another driver': allocated({ results: [{ ...result, driver: 'gpu.nvidia.com' }] }),
      'another node': allocated({ results: [result, { ...result, pool: 'elsewhere' }] }),
      'admin access': allocated({ results: [{ ...result, adminAccess: true }] }),
      parameters: allocated({ config: [{ opaque: { driver } }] })
    }
    for (const [what, claim] of Object.entries(refused))
      t.match(claimedDevices(named, claim, node), { refusal: /^resourceclaim "c" .*; \w+/ }, what)
    const others = allocated({ config: [{ opaque: { driver: 'gpu.nvidia.com' } }] })
    t.match(claimedDevices(named, others, node), { devices: [{}] }, 'parameters for others are not ours')
  }
)

t.test('a claim that may still come right is waited for', async (t) => {
  const pending = [undefined, {}, allocated({}, []), allocated({}, [{ resource: 'pods', uid: 'u-2' }])]
  for (const claim of pending) t.match(claimedDevices(named, claim, node), { pending: /^resourceclaim "c" / })
  const { claim: _, ...unmade } = named
  t.match(claimedDevices(unmade, undefined, node), { pending: /has not been made of the template yet/ })
})

t.test('claims of templates have the names that the cluster has given them', async (t) => {
  const claims = [{ name: 'a', resourceClaimName: 'own' }, { name: 'b' }, { name: 'c' }, { name: 'd' }]
  const resourceClaimStatuses = [{ name: 'b', resourceClaimName: 'p-b-x1' }, { name: 'c' }]
  t.same(podClaims(podWith(claims, { status: { resourceClaimStatuses } })), [
    { name: 'a', field: 'spec.resourceClaims[0]', claim: 'own' },
    { name: 'b', field: 'spec.resourceClaims[1]', claim: 'p-b-x1' },
    { name: 'd', field: 'spec.resourceClaims[3]' }
  ])
})

t.test('a pod travels with what the cluster has allocated, whatever it says itself', async (t) => {
  const asked: string[] = []
  const kube = {
    get: async (path: string) => {
      asked.push(path)
      if (path.endsWith('/none')) throw new KubeError(404, { reason: 'NotFound' })
      return allocated()
    }
  } as unknown as KubeClient
  const context = (capabilities: readonly string[] = ['devices']) =>
    ({
      kube,
      nodeName: 'edge',
      backend: () => 'slurm',
      feed: { capabilities: new Set(capabilities) }
    }) as unknown as PodContext
  const annotations = { 'interlink.io/claims': '{"gpu":[{"request":"r","device":"stolen"}]}', k: 'v' }
  const own = [{ name: 'gpu', resourceClaimName: 'c' }]

  t.match(await withClaims(context(), podWith(own, { annotations })), {
    pod: {
      metadata: {
        annotations: { k: 'v', 'interlink.io/claims': '{"gpu":[{"request":"r","device":"gpu-0"}]}' }
      }
    }
  })
  t.same(asked, ['/apis/resource.k8s.io/v1/namespaces/ns/resourceclaims/c'])
  const without = await withClaims(context([]), podWith([], { annotations }))
  t.same('pod' in without && without.pod.metadata.annotations, { k: 'v' })
  t.match(await withClaims(context([]), podWith(own)), {
    refusal: /^spec\.resourceClaims\[0\]: backend slurm gives no devices by resource claims/
  })
  await t.rejects(withClaims(context(), podWith([{ name: 'gpu', resourceClaimName: 'none' }])), {
    name: 'ClaimPending',
    message: 'resourceclaim "none" not found'
  })
})

t.test('the slices of a node hold no more than the API takes, and all devices once', async (t) => {
  const names = Array.from({ length: 130 }, (_, at) => `gpu-${at}`)
  const counters = { part: { value: '1' } }
  const offer: DeviceOffer = {
    devices: names.map((name) => ({ name, attributes: {} })),
    sharedCounters: names.slice(0, 9).map((name) => ({ name, counters }))
  }
  const slices = resourceSlices(offer, { name: 'edge', uid: 'u-9' }, 7)
  t.same(
    slices.map(({ spec }) => spec.devices?.length ?? -(spec.sharedCounters?.length ?? 0)),
    [-8, -1, 64, 64, 2]
  )
  t.same(
    slices.flatMap(({ spec }) => spec.devices ?? []).map(({ name }) => name),
    names
  )
  for (const { metadata, spec } of slices) {
    t.match(spec, { driver, nodeName: 'edge', pool: { name: 'edge', generation: 7, resourceSliceCount: 5 } })
    t.match(metadata.ownerReferences, [{ kind: 'Node', name: 'edge', uid: 'u-9' }])
  }
  t.same(resourceSlices({ devices: [] }, { name: 'edge', uid: 'u-9' }, 1), [])
})
