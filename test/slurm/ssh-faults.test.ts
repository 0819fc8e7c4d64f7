import t from 'tap'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import {
  isOver,
  isRunning,
  logOf,
  scriptPod,
  startSlurmPlugin,
  statusOf,
  whenStatus
} from './slurm-plugin.ts'
import { sshdMissing, startSshd } from '../support/sshd.ts'

if (requireReal(t, slurmMissing() ?? sshdMissing())) {
  const lab = await startSlurmLab({ nodes: 1 })
  t.teardown(() => lab.close())
  // The real sbatch, held up on its way there or on its way back until the connection is gone, and a little longer.
  const front = join(lab.dir, 'front')
  const sbatch = join(front, 'sbatch')
  const sshd = await startSshd({ ...lab.env, PATH: `${front}:${lab.env.PATH}` })
  t.teardown(() => sshd.close())
  const ssh = { ...sshd.options, directory: join(lab.dir, 'far') }
  const far = { ssh }
  const jobsOf = async (uid: string) =>
    (await lab.run('squeue', '-h', '-t', 'all', '-o', '%k'))
      .split('\n')
      .filter((comment) => comment.startsWith(`${uid} `)).length

  const held = 'touch "$0.called"; until [ -e "$0.go" ]; do sleep 0.1; done; sleep 1'
  const slow = {
    'on its way to the controller': `${held}; exec sbatch "$@"`,
    'and its answer': `sbatch "$@"; code=$?; ${held}; exit $code`
  }
  await mkdir(front)
  for (const [when, script] of Object.entries(slow))
    t.test(`a connection that is cut between sbatch ${when} yields one job`, async (t) => {
      for (const mark of ['called', 'go']) await rm(`${sbatch}.${mark}`, { force: true })
      await writeFile(sbatch, `#!/bin/sh\nPATH=${lab.env.PATH}\n${script}\n`, { mode: 0o700 })
      const { client } = await startSlurmPlugin(t, lab, undefined, far)
      const pod = scriptPod('echo once; exit 4')
      const lost = t.rejects(client.create(pod), { code: 'PLUGIN_BACKEND_FAILED', retry: 'yes' })
      await eventually(() => existsSync(`${sbatch}.called`))
      await sshd.kill()
      await lost
      await writeFile(`${sbatch}.go`, '')
      await rm(sbatch)
      await sshd.start()
      await eventually(() => client.create(pod).then(() => true))
      t.equal((await whenStatus(client, pod, isOver)).containers[0]!.state!.terminated!.exitCode, 4)
      t.equal(await logOf(client, pod), 'once\n')
      t.equal(await jobsOf(pod.pod.metadata.uid!), 1)
    })

  t.test('a log that is cut goes on where it was, with nothing twice and nothing lost', async (t) => {
    const { client } = await startSlurmPlugin(t, lab, undefined, far)
    const go = join(lab.dir, 'go')
    const pod = scriptPod('seq 1 20000; until [ -e "$GO" ]; do sleep 0.1; done; seq 20001 60000', {
      container: { env: [{ name: 'GO', value: go }] }
    })
    const lines = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, index) => `${from + index}\n`).join('')
    await client.create(pod)
    await eventually(async () => (await logOf(client, pod)).includes('\n100\n'))
    await sshd.kill()
    await writeFile(go, '')
    await sshd.start()
    await whenStatus(client, pod, isOver)
    t.ok((await logOf(client, pod)) === lines(1, 60_000))
  })

  t.test('keep-alives notice a peer that says nothing any more, and another is found', async (t) => {
    const { client } = await startSlurmPlugin(t, lab, undefined, { ssh: { ...ssh, keepAliveSeconds: 3 } })
    const pod = scriptPod('sleep 600')
    await client.create(pod)
    await whenStatus(client, pod, isRunning)
    await sshd.freeze()
    t.teardown(() => sshd.kill())
    const during = scriptPod('exit 5')
    await t.rejects(client.create(during), { code: 'PLUGIN_BACKEND_FAILED', message: /Keepalive timeout/ })
    t.ok(isRunning((await statusOf(client, pod))!), 'what was last known is still said')
    await eventually(() => client.create(during).then(() => true))
    t.equal((await whenStatus(client, during, isOver)).containers[0]!.state!.terminated!.exitCode, 5)
  })
}
