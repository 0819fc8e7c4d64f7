import t from 'tap'
import { existsSync } from 'node:fs'
import { appendFile, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startSlurmLab, slurmMissing } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { referenceJob } from './reference-job.ts'
import {
  isOver,
  isRunning,
  logOf,
  refOf,
  scriptPod,
  startSlurmPlugin,
  statusOf,
  whenStatus
} from './slurm-plugin.ts'

if (requireReal(t, slurmMissing())) {
  const lab = await startSlurmLab({ nodes: 1 })
  t.teardown(() => lab.close())
  const data = join(lab.dir, 'reference')
  await mkdir(data)
  const options = { adopt: { directory: data, node: 'vk' } }
  const podOf = (uid: string) => {
    const pod = scriptPod('true')
    pod.pod.metadata.uid = uid
    return pod
  }
  const codeOf = (status: Awaited<ReturnType<typeof statusOf>>, name: string) =>
    [...status!.initContainers!, ...status!.containers].find((one) => one.name === name)!.state?.terminated
      ?.exitCode

  t.test('a job of the reference runs on over the swap, and over a restart', async (t) => {
    const go = join(lab.dir, 'go')
    const job = await referenceJob(
      data,
      [
        { name: 'prepare', init: true, script: 'echo prepared' },
        { name: 'quick', script: 'exit 3' },
        { name: 'main', script: `echo first; until [ -e ${go} ]; do sleep 0.1; done; echo second; exit 5` }
      ],
      lab
    )
    const pod = podOf(job.uid)
    const dir = join(lab.dir, 'swap')
    const first = await startSlurmPlugin(t, lab, dir, options)
    const status = await whenStatus(
      first.client,
      pod,
      (seen) => codeOf(seen, 'quick') !== undefined && seen.containers.some(({ state }) => state?.running)
    )
    t.equal(status.JID, job.jobId)
    t.equal(status.nodeName, 'vk')
    t.equal(codeOf(status, 'prepare'), 0)
    t.equal(codeOf(status, 'quick'), 3)
    t.equal(codeOf(status, 'main'), undefined)
    await eventually(async () => (await logOf(first.client, pod)) === 'first\n')
    t.same(await first.client.create(pod), { PodUID: job.uid, PodJID: job.jobId }, 'no second job is made')
    await first.close()

    const second = await startSlurmPlugin(t, lab, dir, options)
    await writeFile(go, '')
    const over = await whenStatus(second.client, pod, isOver)
    t.equal(codeOf(over, 'main'), 5)
    // What follows is of the `time` in the reference's script.
    t.match(
      await logOf(second.client, pod),
      /^first\nsecond\n(?!.*(first|second))/s,
      'nothing is lost or doubled'
    )
    t.match(await lab.run('squeue', '-h', '-t', 'all', '-o', '%A'), new RegExp(`^${job.jobId}\n$`))
  })

  t.test('what had ended before is reported from the files, whatever Slurm still knows', async (t) => {
    const job = await referenceJob(data, [{ name: 'main', script: '' }])
    const long = 'x'.repeat(40_000)
    await writeFile(join(job.dir, 'run-main.out'), `a\n${long}\nno newline`)
    await writeFile(join(job.dir, 'run-main.status'), '42\n')
    const { client } = await startSlurmPlugin(t, lab, undefined, options)
    const over = await whenStatus(client, podOf(job.uid), isOver)
    t.equal(codeOf(over, 'main'), 42)
    t.equal(await logOf(client, podOf(job.uid)), `a\n${long}\nno newline`)
  })

  t.test('a failed init container ends the pod; one whose script was killed is no success', async (t) => {
    const failed = await referenceJob(
      data,
      [
        { name: 'prepare', init: true, script: 'exit 7' },
        { name: 'main', script: 'echo never' }
      ],
      lab
    )
    const go = join(lab.dir, 'kill')
    const script = `until [ -e ${go} ]; do sleep 0.1; done; kill -KILL 0`
    const ended = await referenceJob(data, [{ name: 'main', script }], lab)
    const { client } = await startSlurmPlugin(t, lab, undefined, options)
    await whenStatus(client, podOf(ended.uid), isRunning)
    await writeFile(go, '')
    const killed = await whenStatus(client, podOf(ended.uid), isOver)
    t.not(codeOf(killed, 'main'), 0)
    t.match(killed.message, `Slurm job ${ended.jobId}`)
    const status = await whenStatus(client, podOf(failed.uid), (seen) => codeOf(seen, 'prepare') === 7)
    t.equal(codeOf(status, 'main'), undefined)
  })

  t.test('a deletion ends the job and removes both directories', async (t) => {
    const job = await referenceJob(data, [{ name: 'main', script: 'sleep 600' }], lab)
    const { client, root } = await startSlurmPlugin(t, lab, undefined, options)
    await whenStatus(client, podOf(job.uid), isRunning)
    await client.delete(refOf(podOf(job.uid)))
    await eventually(async () => (await statusOf(client, podOf(job.uid))) === undefined)
    await eventually(
      async () => (await lab.run('squeue', '-h', '-t', 'all', '-j', job.jobId, '-o', '%T')) === 'CANCELLED\n'
    )
    await eventually(async () => !(await readdir(root)).includes(`default-${job.uid}`))
    await eventually(() => !existsSync(job.dir))
  })

  t.test('what is no job is left alone, and a place that is none is refused', async (t) => {
    const job = await referenceJob(data, [{ name: 'main', script: '' }])
    await appendFile(join(job.dir, 'JobID.jid'), '; touch x')
    const again = join(lab.dir, 'again')
    const { client, root, close } = await startSlurmPlugin(t, lab, again, options)
    t.equal(await statusOf(client, podOf(job.uid)), undefined)
    t.ok(existsSync(job.dir))
    await close()
    for (const [directory, words] of [
      [join(lab.dir, 'nowhere'), /options\.adopt\.directory: \S+nowhere cannot be read: ENOENT/],
      [root, /is the root of this plugin too/]
    ] as const)
      await t.rejects(
        startSlurmPlugin(t, lab, again, {
          adopt: { directory, node: 'vk' }
        }),
        { message: words }
      )
  })
}
