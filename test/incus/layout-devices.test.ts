import t from 'tap'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { incusMissing } from '@interlink-ts/dev-cluster/incus'
import type { InterlinkClient } from '@interlink-ts/interlink-api/client'
import type { RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { isRunning, logOf, refOf, whenStatus } from '../slurm/slurm-plugin.ts'
import { fakeInventory, sliceUuids, startCardLab } from './fake-cards.ts'
import { letGo, startIncusPlugin } from './incus-plugin.ts'
import { layout, leftIn, shell, splitPod } from './split-pods.ts'

const slice = 'nvidia.com/mig-3g.20gb'
const fpga = 'xilinx.com/fpga'
const show =
  'echo "nodes $(ls /dev | grep -E "^(dri|fpga|nvidia)" | tr "\\n" " ")cuda ${CUDA_VISIBLE_DEVICES-none}"'
const asks = (resource: string) => ({ resources: { limits: { [resource]: '1' } } })

void t.test('devices of a pod whose containers are an instance each', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const lab = await startCardLab(t)
  const lending = async (name: string, more: object = {}) => {
    const dir = join(lab.dir, name)
    await mkdir(dir, { mode: 0o700 })
    const inventory = join(dir, 'cards.yaml')
    await writeFile(inventory, fakeInventory)
    return { dir, more: { devices: { inventory, policy: {}, ...more } as never } }
  }
  const free = async (client: InterlinkClient) => {
    const { accelerators = [] } = (await client.ping()).parsed?.resources ?? {}
    const all = accelerators as { resourceType: string; free?: string }[]
    return [slice, fpga].map((name) => all.find(({ resourceType }) => resourceType === name)?.free)
  }
  const said = (client: InterlinkClient, pod: RetrievedPodData, container: string) =>
    eventually(() => logOf(client, pod, container).catch(() => ''))
  const none = () => eventually(async () => (await leftIn(lab)).length === 0)

  t.test(
    'each has exactly its own, also where the plugin is another one by then, and gives it back',
    async (t) => {
      const { dir, more } = await lending('lent')
      const first = await startIncusPlugin(t, lab, dir, {}, more)
      await eventually(async () => (await free(first.client)).join() === '2,1')
      const pod = splitPod({
        terminationGracePeriodSeconds: 1,
        initContainers: [
          shell('first', `${show}; until [ -e /go ]; do sleep 0.1; done`, asks(slice)),
          shell('second', show)
        ],
        containers: [
          shell('card', `${show}; exec sleep 600`, asks(slice)),
          shell('board', `${show}; exec sleep 600`, asks(fpga)),
          shell('bare', `${show}; exec sleep 600`)
        ]
      })
      const { PodJID } = await first.client.create(pod)
      const given = await said(first.client, pod, 'first')
      t.same(await free(first.client), ['1', '0'], 'all of them are its own from the first on')
      await first.close()
      const { client } = await startIncusPlugin(t, lab, dir, {}, more)
      await letGo(lab, PodJID.replace('*', 'first'))
      await whenStatus(client, pod, isRunning)
      t.ok(
        sliceUuids.some((uuid) => given === `nodes cuda ${uuid}\n`),
        given
      )
      t.equal(await said(client, pod, 'second'), 'nodes cuda none\n')
      t.equal(await said(client, pod, 'card'), given, 'that which the init container had')
      t.equal(await said(client, pod, 'board'), 'nodes fpga0 cuda none\n')
      t.equal(await said(client, pod, 'bare'), 'nodes cuda none\n')
      t.same(await free(client), ['1', '0'])
      await client.delete(refOf(pod))
      await eventually(async () => (await free(client)).join() === '2,1')
      await none()
    }
  )

  t.test('so it is with those of resource claims', async (t) => {
    const { dir, more } = await lending('claimed', { offers: 'claims' })
    const { client } = await startIncusPlugin(t, lab, dir, {}, more)
    const card = 'gpu-11111111-1111-1111-1111-111111111111-3g-20gb-4'
    const names = async () => (await client.devices()).devices.map(({ name }) => name)
    await eventually(async () => (await names()).includes(card))
    const claims = { slice: [{ request: 'r', device: card }], board: [{ request: 'r', device: 'u55c-1' }] }
    const claiming = (...names: string[]) => ({ resources: { claims: names.map((name) => ({ name })) } })
    const pod = splitPod({
      terminationGracePeriodSeconds: 1,
      resourceClaims: [{ name: 'slice' }, { name: 'board' }],
      containers: [
        shell('card', `${show}; exec sleep 600`, claiming('slice')),
        shell('both', `${show}; exec sleep 600`, claiming('slice', 'board')),
        shell('bare', `${show}; exec sleep 600`)
      ]
    })
    pod.pod.metadata.annotations = { ...layout, 'interlink.io/claims': JSON.stringify(claims) }
    await client.create(pod)
    await whenStatus(client, pod, isRunning)
    t.equal(await said(client, pod, 'card'), `nodes cuda ${sliceUuids[1]}\n`)
    t.equal(await said(client, pod, 'both'), `nodes fpga0 cuda ${sliceUuids[1]}\n`)
    t.equal(await said(client, pod, 'bare'), 'nodes cuda none\n')
    await client.delete(refOf(pod))
    await none()
  })
})
