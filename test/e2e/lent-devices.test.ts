import t from 'tap'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { controlPlaneUnavailable } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { podOnce } from '../support/pod-once.ts'
import { requireReal } from '../support/require-real.ts'
import { halvedCard, startCardStack } from './card-stack.ts'
import { shellPod } from './workloads.ts'

const slice = 'nvidia.com/mig-3g.20gb'
const fpga = 'xilinx.com/fpga'
const taint = 'accelerator-FPGA'

const board = {
  id: 'U55C-1',
  vendor: 'xilinx.com',
  model: 'Alveo U55C',
  sharing: { type: 'fpga', shell: 'xilinx_u55c_gen3x16_xdma_base_3' }
}

const asking = (name: string, resource: string, script: string) =>
  shellPod({
    name,
    script,
    container: { resources: { limits: { [resource]: '1' } } },
    spec: { terminationGracePeriodSeconds: 1 }
  })
const stay = 'echo "has $CUDA_VISIBLE_DEVICES"; while :; do sleep 0.1; done'

t.test('devices go to the pods that the scheduler sends, and come back', async (t) => {
  if (!requireReal(t, controlPlaneUnavailable())) return
  const { cluster, stack, kubectl, get, leases } = await startCardStack(t, {
    cards: [halvedCard('GPU-a'), board],
    devices: { fpgaTaint: true }
  })
  const apply = (pod: Pod) => kubectl(['apply', '-f', '-'], pod)
  const podOf = (name: string) => get<Pod>('pod', name)
  const has = async (name: string) => {
    const said = await eventually(async () => (await kubectl(['logs', name]).catch(() => '')).trim())
    return said.replace('has ', '')
  }
  // What it offers, and that ordinary pods are kept away.
  await eventually(async () => {
    const { spec, status } = await get<Node>('node', stack.nodeName)
    const { [slice]: slices, [fpga]: boards } = status.allocatable
    return slices === '2' && boards === '1' && spec.taints.some(({ key }) => key === taint)
  })
  const tolerant = (pod: Pod): Pod => {
    const tolerations = [...(pod.spec.tolerations ?? []), { key: taint, operator: 'Exists' }]
    return { ...pod, spec: { ...pod.spec, tolerations } } as Pod
  }

  for (const name of ['one', 'two', 'three']) await apply(tolerant(asking(name, slice, stay)))
  const running = async () => {
    const names = await Promise.all(
      ['one', 'two', 'three'].map(async (name) =>
        (await podOf(name)).status?.phase === 'Running' ? name : ''
      )
    )
    const up = names.filter((name) => name !== '')
    return up.length === 2 ? up : undefined
  }
  const [first, second] = (await eventually(running)) as [string, string]
  const third = ['one', 'two', 'three'].find((name) => name !== first && name !== second)!
  const held = await has(first)
  t.same([held, await has(second)].sort(), ['MIG-one', 'MIG-two'])
  await podOnce(cluster.env, third, ({ status }) =>
    status?.conditions?.some(
      ({ reason, message }) =>
        reason === 'Unschedulable' && /Insufficient nvidia\.com\/mig-3g\.20gb/.test(message ?? '')
    )
  )

  // It ends while the plugin is dead: what it had has come back once there is a plugin again.
  await stack.kill('plugin')
  const { uid } = (await podOf(first)).metadata
  const directory = join(stack.jobs, `default-${uid}`)
  await writeFile(join(directory, 'stop'), '0\n')
  await eventually(() => readFile(join(directory, 'state/pod'), 'utf8').catch(() => undefined))
  await stack.restart('plugin')
  await eventually(async () => (await podOf(first)).status?.phase === 'Failed')
  t.equal(await has(third), held)
  t.equal((await podOf(second)).status?.phase, 'Running', 'who went on has kept what it had')

  await apply(tolerant(asking('card', fpga, 'echo "has the card"')))
  t.equal(await has('card'), 'the card')
  await kubectl(['delete', 'pod', second, third, '--wait=true'])
  const given = await eventually(async () => {
    const { bound, released } = await leases()
    return released === 4 ? bound : undefined
  })
  t.equal(given, 4, 'each was given once and has come back')
})

interface Node {
  readonly spec: { readonly taints: readonly { readonly key: string }[] }
  readonly status: { readonly allocatable: Record<string, string> }
}
