import t from 'tap'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { eachSlurm } from './each-slurm.ts'
import { isRunning, refOf, scriptPod, startSlurmPlugin, statusOf, whenStatus } from './slurm-plugin.ts'

eachSlurm(t, slurmMissing, async (t, prefix) => {
  const gates = t.testdir()
  // Prolog and epilog are as long as their files are there.
  const gate = async (name: string) => {
    const path = join(gates, name)
    await writeFile(path, `#!/bin/sh\nwhile [ -e ${path}.shut ]; do sleep 0.1; done\n`, { mode: 0o755 })
    return {
      path,
      shut: () => writeFile(`${path}.shut`, ''),
      open: () => rm(`${path}.shut`, { force: true })
    }
  }
  const prolog = await gate('prolog')
  const epilog = await gate('epilog')
  const lab = await startSlurmLab({
    prefix,
    nodes: 1,
    extra: [`PrologSlurmctld=${prolog.path}`, `Epilog=${epilog.path}`, 'MinJobAge=2']
  })
  t.teardown(() => lab.close())
  t.teardown(() => Promise.all([prolog.open(), epilog.open()]))
  const state = async (jobId: string) =>
    (await lab.run('squeue', '-h', '-t', 'all', '-j', jobId, '-o', '%T').catch(() => '')).trim()
  const isOver = async (jobId: string) => /^(CANCELLED|COMPLETED|FAILED)?$/.test(await state(jobId))
  const forever = 'while :; do sleep 0.1; done'

  t.test('a deletion while the nodes of the job are getting ready', async (t) => {
    const { client, root } = await startSlurmPlugin(t, lab)
    const marker = join(root, '../configuring')
    const pod = scriptPod(`echo ran >${marker}; ${forever}`)
    await prolog.shut()
    const { PodJID } = await client.create(pod)
    await eventually(async () => (await state(PodJID)) === 'CONFIGURING')
    await whenStatus(client, pod, ({ message }) => /getting ready/.test(message ?? ''))
    await client.delete(refOf(pod))
    await prolog.open()
    await eventually(async () => (await statusOf(client, pod)) === undefined)
    await eventually(() => isOver(PodJID))
  })

  t.test('a deletion while Slurm completes the job, and of one that it has forgotten', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    const pod = scriptPod(forever)
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    await epilog.shut()
    await lab.run('scancel', '--signal=KILL', '--full', PodJID)
    await eventually(async () => (await state(PodJID)) === 'COMPLETING')
    await client.delete(refOf(pod))
    await epilog.open()
    await eventually(async () => (await statusOf(client, pod)) === undefined)
    await eventually(() => isOver(PodJID))

    const forgotten = scriptPod('true', { annotations: { 'slurm-job.vk.io/flags': '--hold' } })
    const { PodJID: id } = await client.create(forgotten)
    await lab.run('scancel', id)
    await eventually(async () => (await state(id)) === '')
    await client.delete(refOf(forgotten))
    await eventually(async () => (await statusOf(client, forgotten)) === undefined)
    await client.delete({ metadata: { name: 'no', namespace: 'default', uid: 'nobody-knows' } })
  })

  t.test('a deletion ends a pod that does not heed its signal when the grace is over', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    const pod = scriptPod(`trap '' TERM; ${forever}`, { spec: { terminationGracePeriodSeconds: 1 } })
    const { PodJID } = await client.create(pod)
    await whenStatus(client, pod, isRunning)
    await client.delete(refOf(pod))
    await eventually(async () => (await statusOf(client, pod)) === undefined)
    await eventually(() => isOver(PodJID))
  })

  t.test(
    'a job of this root without a directory is ended; those of others and of another plugin are not',
    async (t) => {
      const orphans = { policy: 'cancel', afterSeconds: 1 } as const
      const start = (dir?: string, policy: 'cancel' | 'keep' = 'cancel') =>
        startSlurmPlugin(t, lab, dir, {}, { orphans: { ...orphans, policy } })
      const other = await start()
      const theirs = scriptPod(forever)
      const { PodJID: theirId } = await other.client.create(theirs)
      const foreign = (
        await lab.run(
          'sbatch',
          '--parsable',
          '-o',
          '/dev/null',
          '--comment=a-uid interlink-0',
          '--wrap=sleep 600'
        )
      ).trim()

      const first = await start(undefined, 'keep')
      const [lost, kept] = [scriptPod(forever), scriptPod(forever)]
      const { PodJID: lostId } = await first.client.create(lost)
      const { PodJID: keptId } = await first.client.create(kept)
      for (const pod of [lost, kept]) await whenStatus(first.client, pod, isRunning)
      await whenStatus(other.client, theirs, isRunning)
      await eventually(async () => (await state(foreign)) === 'RUNNING')
      await first.close()
      await rm(join(first.root, `default-${lost.pod.metadata.uid}`), { recursive: true, maxRetries: 10 })
      const second = await start(join(first.root, '..'))
      await eventually(() => isOver(lostId))
      for (const id of [keptId, theirId, foreign]) t.equal(await state(id), 'RUNNING')
      await whenStatus(second.client, kept, isRunning)

      await second.close()
      await rm(join(first.root, `default-${kept.pod.metadata.uid}`), { recursive: true, maxRetries: 10 })
      const mark = await readFile(join(first.root, '.mark'), 'utf8')
      await rm(join(first.root, '.mark'))
      const third = await start(join(first.root, '..'))
      const probe = scriptPod('sleep 3')
      await third.client.create(probe)
      await whenStatus(third.client, probe, ({ containers: [main] }) => main?.state?.terminated)
      t.not(await readFile(join(first.root, '.mark'), 'utf8'), mark)
      t.equal(await state(keptId), 'RUNNING', 'a root that was lost does not know its jobs any more')
      await lab.run('scancel', keptId, theirId, foreign)
    }
  )
})
