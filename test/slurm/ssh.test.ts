import t from 'tap'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
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
import { sshdMissing, startSshd } from '../support/sshd.ts'

if (requireReal(t, slurmMissing() ?? sshdMissing())) {
  const lab = await startSlurmLab()
  t.teardown(() => lab.close())
  const sshd = await startSshd()
  t.teardown(() => sshd.close())
  const far = { ssh: { ...sshd.options, directory: join(lab.dir, 'far') } }

  t.test('behind SSH, with a shared file system, a pod runs as a job', async (t) => {
    const { client } = await startSlurmPlugin(t, lab, undefined, { ssh: sshd.options })
    const pod = scriptPod('echo hello; exit 4')
    await client.create(pod)
    const over = await whenStatus(client, pod, isOver)
    t.equal(over.containers[0]!.state!.terminated!.exitCode, 4)
    t.equal(await logOf(client, pod), 'hello\n')
  })

  t.test(
    'with no shared file system the job directory travels, and state and log come back live',
    async (t) => {
      const { client } = await startSlurmPlugin(t, lab, undefined, far)
      const pod = scriptPod('echo "$GREETING"; until [ -e "$GO" ]; do sleep 0.1; done; echo end; exit 6', {
        container: {
          env: [
            { name: 'GREETING', value: 'what\'s "up" $HOME\nsecond' },
            { name: 'GO', value: join(lab.dir, 'go') }
          ]
        }
      })
      const there = join(lab.dir, 'far', `default-${pod.pod.metadata.uid}`)
      await client.create(pod)
      await whenStatus(client, pod, isRunning)
      t.notOk(existsSync(join(there, 'plan.json')), 'the plan stays with the plugin')
      await eventually(async () => (await logOf(client, pod)) === 'what\'s "up" $HOME\nsecond\n')
      await writeFile(join(lab.dir, 'go'), '')
      const over = await whenStatus(client, pod, isOver)
      t.equal(over.containers[0]!.state!.terminated!.exitCode, 6)
      t.equal(
        await logOf(client, pod),
        'what\'s "up" $HOME\nsecond\nend\n',
        'the end of the log is there with the end'
      )
      await eventually(() => !existsSync(there))
    }
  )

  t.test('with no shared file system a deletion reaches the pod', async (t) => {
    const { client } = await startSlurmPlugin(t, lab, undefined, far)
    const pod = scriptPod('sleep 600')
    await client.create(pod)
    await whenStatus(client, pod, isRunning)
    await client.delete(refOf(pod))
    await eventually(async () => (await statusOf(client, pod)) === undefined)
    await eventually(async () => {
      const left = await lab.run('squeue', '-h', '-t', 'running,completing', '-o', '%k')
      return !left.includes(pod.pod.metadata.uid!)
    })
  })

  t.test('sshd that is cut and comes back is found again, and nothing is lost', async (t) => {
    const { client } = await startSlurmPlugin(t, lab, undefined, far)
    const go = join(lab.dir, 'go-cut')
    const before = scriptPod(`until [ -e ${go} ]; do sleep 0.1; done; exit 7`)
    await client.create(before)
    await whenStatus(client, before, isRunning)
    await sshd.kill()
    const during = scriptPod('exit 8')
    await t.rejects(client.create(during), { code: 'PLUGIN_BACKEND_FAILED', retry: 'yes' })
    t.ok(isRunning((await statusOf(client, before))!), 'what was last known is still said')
    await writeFile(go, '')
    await sshd.start()
    await eventually(() => client.create(during).then(() => true))
    for (const [pod, code] of [
      [before, 7],
      [during, 8]
    ] as const)
      t.equal((await whenStatus(client, pod, isOver)).containers[0]!.state!.terminated!.exitCode, code)
    const jobs = await lab.run('squeue', '-h', '-t', 'all', '-o', '%k')
    t.equal(jobs.split('\n').filter((comment) => comment.startsWith(`${during.pod.metadata.uid} `)).length, 1)
  })

  t.test('a host whose key is not known is not spoken to', async (t) => {
    const knownHostsFile = join(sshd.dir, 'none')
    await writeFile(knownHostsFile, '')
    const { client } = await startSlurmPlugin(t, lab, undefined, { ssh: { ...sshd.options, knownHostsFile } })
    await t.rejects(client.create(scriptPod('true')), {
      code: 'PLUGIN_BACKEND_FAILED',
      message: /its key SHA256:\S+ is not in .*ssh-keyscan -p \d+ 127\.0\.0\.1/
    })
  })
}
