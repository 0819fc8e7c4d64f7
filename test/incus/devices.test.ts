import t from 'tap'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { incusMissing } from '@interlink-ts/dev-cluster/incus'
import type { InterlinkClient } from '@interlink-ts/interlink-api/client'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { isOver, isRunning, logOf, refOf, statusOf, whenStatus } from '../slurm/slurm-plugin.ts'
import { fakeInventory, sliceUuids, startCardLab } from './fake-cards.ts'
import { incusPod, instancesOf, letGo, startIncusPlugin, startIncusProcess, waiting } from './incus-plugin.ts'

const slice = 'nvidia.com/mig-3g.20gb'
const gpu = 'nvidia.com/gpu'
const fpga = 'xilinx.com/fpga'

/** Says what it was given, and stays. */
const show = [
  'echo "nodes $(ls /dev | grep -E "^(dri|fpga|nvidia)" | tr "\\n" " ")"',
  'echo "cuda ${CUDA_VISIBLE_DEVICES-none}"',
  'echo "mig $(tr "\\0" "\\n" </proc/1/environ | sed -n "s/^NVIDIA_VISIBLE_DEVICES=//p")"',
  'sleep 600'
].join('; ')

const asking = (resource: string, script = show) =>
  incusPod(script, {
    container: { resources: { limits: { [resource]: '1' } } },
    spec: { terminationGracePeriodSeconds: 1 }
  })

/** The nodes, CUDA's word and Incus' word for what a pod has. */
async function given(client: InterlinkClient, pod: ReturnType<typeof asking>) {
  const said = await eventually(async () => {
    const log = await logOf(client, pod).catch(() => '')
    return log.includes('mig ') ? log : undefined
  })
  const [, nodes, cuda, mig] = /^nodes (.*)\ncuda (.*)\nmig (.*)\n/.exec(said)!
  return { nodes: nodes!.trim(), cuda, mig }
}

void t.test('GPUs and FPGAs of a server are lent to instances', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const lab = await startCardLab(t)
  let counter = 0
  const lending = async () => {
    const dir = join(lab.dir, `cards-${++counter}`)
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const inventory = join(dir, 'cards.yaml')
    await writeFile(inventory, fakeInventory)
    return { dir, devices: { inventory, policy: {} } }
  }
  const start = async (t: Test, more = {}) => {
    const { dir, devices } = await lending()
    return startIncusPlugin(t, lab, dir, {}, { devices: { ...devices, ...more } as never })
  }
  const free = async (client: InterlinkClient) => {
    const { accelerators = [] } = (await client.ping()).parsed?.resources ?? {}
    return Object.fromEntries(
      (accelerators as { resourceType: string; free?: string }[]).map((each) => [
        each.resourceType,
        each.free
      ])
    )
  }
  const untilFree = (client: InterlinkClient, wanted: Readonly<Record<string, string>>) =>
    eventually(async () => {
      const now = await free(client)
      if (Object.entries(wanted).some(([resource, count]) => now[resource] !== count))
        throw new Error(`free are ${JSON.stringify(now)}, and not ${JSON.stringify(wanted)}`)
      return true
    })
  const all = { [slice]: '2', [gpu]: '1', [fpga]: '1' }

  t.test('each pod has exactly its device, and gives it back when it is stopped', async (t) => {
    const { client } = await start(t)
    await untilFree(client, all)
    const pods = [slice, slice, gpu, fpga].map((resource) => asking(resource))
    for (const pod of pods) await client.create(pod)
    const [one, two, card, board] = await Promise.all(pods.map((pod) => given(client, pod)))
    t.same([one, two].map((each) => each!.cuda).sort(), sliceUuids)
    t.same([one!.mig, two!.mig], [one!.cuda, two!.cuda], 'the driver is told the same')
    t.same([one!.nodes, two!.nodes], ['', ''], 'the nodes of a slice are for the tools of the driver')
    t.match(card, { nodes: 'dri nvidia1', cuda: 'GPU-22222222-2222-2222-2222-222222222222' })
    t.match(board, { nodes: 'fpga0', cuda: 'none' })
    await untilFree(client, { [slice]: '0', [gpu]: '0', [fpga]: '0' })
    const none = incusPod(show)
    await client.create(none)
    t.match(await given(client, none), { nodes: '', cuda: 'none', mig: '' }, 'who asks for none has none')
    await t.rejects(client.create(asking(slice)), { code: 'PLUGIN_DEVICES_BUSY' })
    for (const pod of [...pods, none]) await client.delete(refOf(pod))
    await untilFree(client, all)
  })

  t.test('what is killed by hand, or deleted by hand, gives its device back', async (t) => {
    const { client } = await start(t)
    const [stopped, deleted] = [asking(slice), asking(fpga)]
    const names = []
    for (const pod of [stopped, deleted]) names.push((await client.create(pod)).PodJID)
    for (const pod of [stopped, deleted]) await given(client, pod)
    await lab.run('stop', '--force', names[0]!)
    await lab.run('delete', '--force', names[1]!)
    for (const pod of [stopped, deleted])
      t.match(await whenStatus(client, pod, isOver), { reason: 'NodeLost' })
    await untilFree(client, { [slice]: '2', [fpga]: '1' })
  })

  t.test('a plugin that is killed keeps who runs on, and what has ended meanwhile comes back', async (t) => {
    const { dir, devices } = await lending()
    const run = () => startIncusProcess(t, lab, dir, {}, { devices: devices as never })
    const first = await run()
    const [stays, ends] = [asking(slice), asking(slice, show.replace('sleep 600', waiting))]
    await first.client.create(stays)
    const { PodJID } = await first.client.create(ends)
    const [held, over] = [await given(first.client, stays), await given(first.client, ends)]
    await first.kill()
    await letGo(lab, PodJID)
    await eventually(async () => /^STOPPED/.test(await lab.run('list', PodJID, '-f', 'csv', '-c', 's')))
    const { client } = await run()
    await whenStatus(client, ends, isOver)
    await untilFree(client, { [slice]: '1' })
    await whenStatus(client, stays, isRunning)
    const next = asking(slice)
    await client.create(next)
    t.equal((await given(client, next)).cuda, over.cuda, 'and not what the other one has')
    t.not(held.cuda, over.cuda)
    const journal = await readFile(join(dir, 'jobs.devices/leases.journal'), 'utf8')
    t.equal(journal.split('"type":"bind"').length - 1, 3, 'each was given once')
    for (const pod of [stays, next]) await client.delete(refOf(pod))
    await untilFree(client, { [slice]: '2' })
  })

  t.test('a card that is pulled out is lent to nobody; who has it is told, and goes on', async (t) => {
    const { client } = await start(t)
    const holder = asking(gpu)
    await client.create(holder)
    await given(client, holder)
    lab.pull('gpu')
    lab.pull('fpga')
    const before = await instancesOf(lab)
    const waits = asking(fpga)
    await t.rejects(client.create(waits), { code: 'PLUGIN_DEVICES_BUSY' })
    // Nothing is left of the try, and others are as they were.
    await eventually(async () => (await instancesOf(lab)).every((name) => before.includes(name)))
    await untilFree(client, { [slice]: '2', [fpga]: '0' })
    // Incus looks at its hardware anew only now and then; another daemon looks at once.
    await lab.kill()
    await lab.start()
    const { notices } = await whenStatus(client, holder, ({ notices }) => notices?.length)
    t.match(notices, [{ reason: 'DeviceLost', message: /^GPU-2222.* is gone or out of reach/ }])
    t.ok(isRunning((await statusOf(client, holder))!))
    await untilFree(client, { [slice]: '2', [gpu]: '0', [fpga]: '0' })
    lab.plug('gpu')
    lab.plug('fpga')
    await lab.kill()
    await lab.start()
    await eventually(() => client.create(waits))
    t.match(await given(client, waits), { nodes: 'fpga0' })
    for (const pod of [holder, waits]) await client.delete(refOf(pod))
    await untilFree(client, { [gpu]: '1' })
  })

  t.test('an instance has the devices that its resource claims were allocated', async (t) => {
    const { client } = await start(t, { offers: 'claims' })
    const names = async () => (await client.devices()).devices.map(({ name }) => name)
    const [card, board] = ['gpu-22222222-2222-2222-2222-222222222222', 'u55c-1']
    const [, second] = [0, 4].map((at) => `gpu-11111111-1111-1111-1111-111111111111-3g-20gb-${at}`)
    const claiming = (device: string) =>
      incusPod(show, {
        annotations: { 'interlink.io/claims': JSON.stringify({ own: [{ request: 'r', device }] }) },
        container: { resources: { claims: [{ name: 'own' }] } as never },
        spec: { resourceClaims: [{ name: 'own' }], terminationGracePeriodSeconds: 1 }
      })
    const pods = [second!, board!].map(claiming)
    for (const pod of pods) await client.create(pod)
    t.match(await given(client, pods[0]!), { nodes: '', cuda: sliceUuids[1], mig: sliceUuids[1] })
    t.match(await given(client, pods[1]!), { nodes: 'fpga0', cuda: 'none' })
    const again = claiming(board!)
    await t.rejects(client.create(again), {
      code: 'PLUGIN_DEVICES_BUSY',
      message: /card of its resource claim/
    })
    for (const pod of pods) await client.delete(refOf(pod))
    await eventually(() => client.create(again))
    await client.delete(refOf(again))

    t.ok((await names()).includes(card!))
    lab.pull('gpu')
    await lab.kill()
    await lab.start()
    await eventually(async () => !(await names()).includes(card!))
    t.equal((await names()).length, 3, 'the others are offered as they were')
    lab.plug('gpu')
    await lab.kill()
    await lab.start()
    await eventually(async () => (await names()).includes(card!))
  })

  t.test('cards that Incus could not give are refused at the start, and say what to add', async (t) => {
    const { dir, devices } = await lending()
    const wrong: [(card: Record<string, unknown>) => void, RegExp][] = [
      [(card) => delete card.pci, /cards\[0\]\.sharing: Incus gives MIG devices by the PCI address/],
      [
        (card) => Object.assign(card, { sharing: { type: 'whole' }, pci: undefined }),
        /add the `pci` of the card/
      ]
    ]
    for (const [spoil, message] of wrong) {
      const inventory = JSON.parse(fakeInventory) as { cards: Record<string, unknown>[] }
      spoil(inventory.cards[0]!)
      await writeFile(devices.inventory, JSON.stringify(inventory))
      await t.rejects(startIncusPlugin(t, lab, dir, {}, { devices: devices as never }), {
        code: 'IL_CONFIG',
        message
      })
    }
  })
})
