import t from 'tap'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { accountingMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { eachSlurm } from './each-slurm.ts'
import { standInFront } from './front.ts'
import {
  isOver,
  isRunning,
  refOf,
  scriptPod,
  startSlurmPlugin,
  statusOf,
  whenStatus,
  type SlurmPlugin
} from './slurm-plugin.ts'

const exitCode = ({ containers }: Awaited<ReturnType<typeof whenStatus>>) =>
  containers[0]!.state!.terminated!.exitCode
const pingStatus = async ({ client }: SlurmPlugin) => (await client.ping()).parsed!.status ?? ''
const soon = { listSeconds: 0.5, idleListSeconds: 0.5 }

eachSlurm(t, accountingMissing, async (t, prefix) => {
  const lab = await startSlurmLab({ prefix, accounting: true })
  t.teardown(() => lab.close())
  const squeue = await standInFront(lab, 'squeue')
  const held = { annotations: { 'slurm-job.vk.io/flags': '--hold' } }

  t.test('while squeue hangs, pods end as their files say and nothing is lost; the ping tells', async (t) => {
    const plugin = await startSlurmPlugin(
      t,
      lab,
      undefined,
      { ...squeue.options, timeouts: { querySeconds: 1 } },
      soon
    )
    const { client } = plugin
    const go = join(lab.dir, 'go')
    const short = scriptPod(`until [ -e ${go} ]; do sleep 0.1; done; exit 5`)
    const waiting = scriptPod('true', held)
    for (const pod of [short, waiting]) await client.create(pod)
    await whenStatus(client, short, isRunning)
    await whenStatus(client, waiting, ({ reason }) => reason === 'QueuedJobHeldUser')
    await squeue.first('sleep 600')
    await eventually(async () =>
      /does not answer since .*squeue did not end within 1 s/.test(await pingStatus(plugin))
    )
    await writeFile(go, '')
    t.equal(exitCode(await whenStatus(client, short, isOver)), 5)
    t.equal((await statusOf(client, waiting))?.reason, 'QueuedJobHeldUser')
    await squeue.first('')
    await eventually(async () => (await pingStatus(plugin)) === 'ok')
    await client.delete(refOf(waiting))
    await eventually(async () => (await statusOf(client, waiting)) === undefined)
  })

  t.test('a controller that is stopped and started mid-run: the pod goes on, once', async (t) => {
    const plugin = await startSlurmPlugin(t, lab, undefined, { timeouts: { querySeconds: 2 } }, soon)
    const { client, root } = plugin
    const marker = join(root, '../ran')
    const pod = scriptPod(`echo ran >>${marker}; while [ ! -e ${marker}.end ]; do sleep 0.1; done; exit 4`)
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    await lab.stop('slurmctld')
    await eventually(async () => /does not answer/.test(await pingStatus(plugin)))
    t.ok(isRunning((await statusOf(client, pod))!), 'the pod stays as it is')
    await lab.start('slurmctld')
    await eventually(async () => (await pingStatus(plugin)) === 'ok')
    t.ok(isRunning((await statusOf(client, pod))!))
    await lab.run('touch', `${marker}.end`)
    t.equal(exitCode(await whenStatus(client, pod, isOver)), 4)
    t.equal((await client.create(pod)).PodJID, PodJID)
    t.equal(await readFile(marker, 'utf8'), 'ran\n')
  })

  t.test('while slurmdbd is away, pods run, and a cancelled one does not wait for a name', async (t) => {
    const { client } = await startSlurmPlugin(t, lab, undefined, {}, soon)
    await lab.kill('slurmdbd')
    t.teardown(() => lab.start('slurmdbd'))
    const [pod, waiting] = [scriptPod('exit 6'), scriptPod('true', held)]
    await client.create(pod)
    const { PodJID } = await client.create(waiting)
    await lab.run('scancel', PodJID)
    t.equal(exitCode(await whenStatus(client, pod, isOver)), 6)
    const over = await whenStatus(client, waiting, isOver)
    t.equal(over.reason, 'Cancelled')
    t.match(over.message, /the job was cancelled/)
  })

  t.test(
    'while munge is down, a create may be tried again and starts one job; what runs goes on',
    async (t) => {
      const { client, root } = await startSlurmPlugin(t, lab, undefined, {}, soon)
      const marker = join(root, '../munged')
      const running = scriptPod(`while [ ! -e ${marker}.end ]; do sleep 0.1; done; exit 7`)
      await client.create(running)
      await whenStatus(client, running, isRunning)
      await lab.kill('munged')
      const pod = scriptPod(`echo ran >>${marker}`)
      await t.rejects(client.create(pod, { timeoutMs: 120_000 }), {
        code: 'PLUGIN_BACKEND_FAILED',
        retry: 'yes'
      })
      t.ok(isRunning((await statusOf(client, running))!))
      await lab.start('munged')
      await eventually(() => client.create(pod, { timeoutMs: 120_000 }))
      t.equal(exitCode(await whenStatus(client, pod, isOver)), 0)
      t.equal(await readFile(marker, 'utf8'), 'ran\n')
      await lab.run('touch', `${marker}.end`)
      t.equal(exitCode(await whenStatus(client, running, isOver)), 7)
    }
  )

  t.test(
    'a drained node lets its pod end; one that fails takes it along, and it is not run again',
    async (t) => {
      const { client, root } = await startSlurmPlugin(t, lab, undefined, {}, soon)
      const marker = join(root, '../failed')
      const on = (node: string) => ({ annotations: { 'slurm-job.vk.io/flags': `--nodelist=${node}` } })
      const drained = scriptPod(`while [ ! -e ${marker}.end ]; do sleep 0.1; done; exit 8`, on('n2'))
      const failed = scriptPod(`echo ran >>${marker}; while :; do sleep 0.1; done`, on('n1'))
      for (const pod of [drained, failed]) await client.create(pod)
      for (const pod of [drained, failed]) await whenStatus(client, pod, isRunning)
      await eventually(() => existsSync(marker))
      const update = (...words: string[]) => lab.run('scontrol', 'update', ...words, 'reason=test')
      await update('nodename=n2', 'state=drain')
      await update('nodename=n1', 'state=down')
      const over = await whenStatus(client, failed, isOver)
      t.equal(over.reason, 'NodeLost')
      t.match(over.message, /a node of the job failed/)
      t.ok(isRunning((await statusOf(client, drained))!))
      const later = scriptPod('true')
      await client.create(later)
      await lab.run('touch', `${marker}.end`)
      t.equal(exitCode(await whenStatus(client, drained, isOver)), 8)
      t.equal(exitCode(await whenStatus(client, later, isOver)), 0)
      t.equal(await readFile(marker, 'utf8'), 'ran\n')
    }
  )
})

const faketime = existsSync('/usr/bin/faketime') ? undefined : 'faketime missing; apt-get install faketime'
for (const skewSeconds of [300, -300])
  t.test(`clocks of the cluster are ${skewSeconds} s off`, async (t) => {
    if (!requireReal(t, accountingMissing() ?? faketime)) return
    const lab = await startSlurmLab({ nodes: 1, skewSeconds })
    t.teardown(() => lab.close())
    const preamble = `export INTERLINK_SH='/usr/bin/faketime -f ${skewSeconds > 0 ? '+' : ''}${skewSeconds}s /bin/sh'`
    const { client } = await startSlurmPlugin(t, lab, undefined, { batch: { preamble } }, soon)
    const [pod, lost] = [scriptPod('exit 9'), scriptPod('while :; do sleep 0.1; done')]
    await client.create(pod)
    const over = await whenStatus(client, pod, isOver)
    t.equal(exitCode(over), 9)
    const { startedAt } = over.containers[0]!.state!.terminated!
    t.ok(Math.abs(Date.parse(startedAt!) - Date.now()) > 150_000, 'the job really has another clock')

    const { PodJID } = await client.create(lost)
    await whenStatus(client, lost, isRunning)
    await lab.run('scancel', '--signal=KILL', '--full', PodJID)
    const end = await whenStatus(client, lost, isOver)
    t.not(exitCode(end), 0)
    const { startedAt: began, finishedAt } = end.containers[0]!.state!.terminated!
    t.ok(Date.parse(began!) <= Date.parse(finishedAt!))
  })
