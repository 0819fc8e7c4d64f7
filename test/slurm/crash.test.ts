import t from 'tap'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { createInterlinkClient } from '@interlink-ts/interlink-api/client'
import { eventually } from '../support/eventually.ts'
import { spawnReaped } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'
import { isOver, isRunning, scriptPod, startSlurmPlugin, whenStatus } from './slurm-plugin.ts'

const program = fileURLToPath(new URL('plugin-process.ts', import.meta.url))
const loader = new URL('../../scripts/lib/typescript.mjs', import.meta.url).href

if (requireReal(t, slurmMissing())) {
  const lab = await startSlurmLab({ nodes: 1 })
  t.teardown(() => lab.close())

  // The real sbatch, held up on its way there or on its way back until the plugin is gone, and a little longer.
  const held = 'touch "$0.called"; until [ -e "$0.go" ]; do sleep 0.1; done; sleep 1'
  const slow = {
    'while sbatch is on its way to the controller': `${held}; exec sbatch "$@"`,
    'between sbatch and its answer': `sbatch "$@"; code=$?; ${held}; exit $code`
  }
  for (const [when, text] of Object.entries(slow))
    t.test(`a plugin killed ${when} yields one job`, async (t) => {
      const dir = join(lab.dir, when.replaceAll(' ', '-'))
      await mkdir(join(dir, 'bin'), { recursive: true, mode: 0o700 })
      const front = join(dir, 'bin/sbatch')
      await writeFile(front, `#!/bin/sh\nPATH=${lab.env.PATH}\n${text}\n`, { mode: 0o700 })
      const child = spawnReaped(
        process.execPath,
        ['--conditions=interlink-ts-source', `--import=${loader}`, program, dir, lab.env.SLURM_CONF],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
          env: { PATH: `${join(dir, 'bin')}:${lab.env.PATH}`, HOME: dir }
        }
      )
      await once(child.stdout!, 'data')
      const client = createInterlinkClient({ url: `unix://${join(dir, 'plugin.sock')}`, verbs: 'plugin' })
      t.teardown(() => client.close())
      const marker = join(dir, 'marker')
      const pod = scriptPod(`echo started >>${marker}`)
      const lost = t.rejects(client.create(pod), 'the call is lost with the plugin')
      await eventually(() => readFile(`${front}.called`).then(() => true))
      const gone = once(child, 'exit')
      process.kill(child.pid!, 'SIGKILL')
      await gone
      await lost
      await writeFile(`${front}.go`, '')

      const second = await startSlurmPlugin(t, lab, dir)
      const { PodJID } = await second.client.create(pod)
      const over = await whenStatus(second.client, pod, isOver)
      t.equal(over.containers[0]!.state!.terminated!.exitCode, 0)
      const jobs = await lab.run('squeue', '-h', '-t', 'all', '-o', '%A|%k')
      t.same(
        jobs
          .split('\n')
          .map((line) => line.split(' ')[0])
          .filter((line) => line!.endsWith(`|${pod.pod.metadata.uid}`)),
        [`${PodJID}|${pod.pod.metadata.uid}`]
      )
      t.equal(await readFile(marker, 'utf8'), 'started\n')
    })

  t.test('while the controller is down a pod is not lost, and a create may be tried again', async (t) => {
    const { client } = await startSlurmPlugin(t, lab)
    const go = join(lab.dir, 'go')
    const running = scriptPod(`until [ -e ${go} ]; do sleep 0.1; done; exit 5`)
    await client.create(running)
    await whenStatus(client, running, isRunning)
    await lab.stop('slurmctld')
    const pod = scriptPod('true')
    await t.rejects(client.create(pod, { timeoutMs: 60_000 }), {
      code: 'PLUGIN_BACKEND_FAILED',
      retry: 'yes',
      message: /Unable to contact slurm controller/
    })
    await writeFile(go, '')
    const over = await whenStatus(client, running, isOver)
    t.equal(
      over.containers[0]!.state!.terminated!.exitCode,
      5,
      'the end of a job is seen without the controller'
    )
    await lab.start('slurmctld')
    await client.create(pod, { timeoutMs: 60_000 })
    t.equal((await whenStatus(client, pod, isOver)).containers[0]!.state!.terminated!.exitCode, 0)
  })

  t.test('why a job has ended is known to the next plugin, though Slurm has forgotten it', async (t) => {
    const first = await startSlurmPlugin(t, lab)
    const pod = scriptPod('true', { annotations: { 'slurm-job.vk.io/flags': '--hold' } })
    const { PodJID } = await first.client.create(pod)
    await lab.run('scancel', PodJID)
    const before = await whenStatus(first.client, pod, isOver)
    t.equal(before.reason, 'Cancelled')
    await first.close()
    await lab.stop('slurmctld')
    for (const name of await readdir(join(lab.dir, 'state')))
      await rm(join(lab.dir, 'state', name), { recursive: true })
    await lab.start('slurmctld')
    await eventually(async () => (await lab.run('squeue', '-h', '-t', 'all', '-o', '%A')) === '')
    const { client } = await startSlurmPlugin(t, lab, join(first.root, '..'))
    const { reason, message } = await whenStatus(client, pod, isOver)
    t.same({ reason, message }, { reason: 'Cancelled', message: before.message })
  })
}
