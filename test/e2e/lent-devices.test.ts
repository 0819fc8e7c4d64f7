import t from 'tap'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { controlPlaneUnavailable, startControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { podOnce } from '../support/pod-once.ts'
import { temporaryDirectory } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'
import { startStack } from '../support/stack.ts'
import { shellPod } from './workloads.ts'

const slice = 'nvidia.com/mig-3g.20gb'
const fpga = 'xilinx.com/fpga'
const taint = 'accelerator-FPGA'

const cards = {
  cards: [
    {
      id: 'GPU-a',
      model: 'NVIDIA A100-SXM4-40GB',
      sharing: {
        type: 'mig',
        geometry: 'a100-40gb',
        instances: [
          { profile: '3g.20gb', start: 0, uuid: 'MIG-one' },
          { profile: '3g.20gb', start: 4, uuid: 'MIG-two' }
        ]
      }
    },
    {
      id: 'U55C-1',
      vendor: 'xilinx.com',
      model: 'Alveo U55C',
      sharing: { type: 'fpga', shell: 'xilinx_u55c_gen3x16_xdma_base_3' }
    }
  ]
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
  const files = temporaryDirectory('devices')
  t.teardown(() => files.remove())
  const inventory = join(files.path, 'cards.yaml')
  await writeFile(inventory, JSON.stringify(cards))
  const cluster = await startControlPlane()
  t.teardown(() => cluster.stop())
  const stack = await startStack({
    kubeconfigPath: cluster.kubeconfigPath,
    plugin: {
      devices: { inventory, fpgaTaint: true },
      options: { images: { apptainer: '', podman: '' } }
    }
  })
  t.teardown(() => stack.stop())
  const kubectl = async (args: readonly string[], input?: object) => {
    const result = await cluster.kubectl(args, input ? { input: JSON.stringify(input) } : {})
    if (result.code !== 0) throw new Error(result.stderr)
    return result.stdout
  }
  const apply = (pod: Pod) => kubectl(['apply', '-f', '-'], pod)
  const get = async (name: string) => JSON.parse(await kubectl(['get', 'pod', name, '-o', 'json'])) as Pod
  const has = async (name: string) => {
    const said = await eventually(async () => (await kubectl(['logs', name]).catch(() => '')).trim())
    return said.replace('has ', '')
  }
  // What it offers, and that ordinary pods are kept away.
  await eventually(async () => {
    const { spec, status } = JSON.parse(await kubectl(['get', 'node', stack.nodeName, '-o', 'json'])) as Node
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
      ['one', 'two', 'three'].map(async (name) => ((await get(name)).status?.phase === 'Running' ? name : ''))
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
  const { uid } = (await get(first)).metadata
  const directory = join(stack.jobs, `default-${uid}`)
  await writeFile(join(directory, 'stop'), '0\n')
  await eventually(() => readFile(join(directory, 'state/pod'), 'utf8').catch(() => undefined))
  await stack.restart('plugin')
  await eventually(async () => (await get(first)).status?.phase === 'Failed')
  t.equal(await has(third), held)
  t.equal((await get(second)).status?.phase, 'Running', 'who went on has kept what it had')

  await apply(tolerant(asking('card', fpga, 'echo "has the card"')))
  t.equal(await has('card'), 'the card')
  await kubectl(['delete', 'pod', second, third, '--wait=true'])
  const leases = await eventually(async () => {
    const text = await readFile(`${stack.jobs}.devices/leases.journal`, 'utf8')
    const count = (type: string) => text.split(`"type":"${type}"`).length - 1
    return count('release') === 4 ? count('bind') : undefined
  })
  t.equal(leases, 4, 'each was given once and has come back')
})

interface Node {
  readonly spec: { readonly taints: readonly { readonly key: string }[] }
  readonly status: { readonly allocatable: Record<string, string> }
}
