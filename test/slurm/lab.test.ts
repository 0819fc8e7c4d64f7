import t from 'tap'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { requireReal } from '../support/require-real.ts'
import { slurms, slurmUnprepared } from './each-slurm.ts'
import { eventually } from '../support/eventually.ts'

const [, { prefix }] = slurms

if (requireReal(t, slurmMissing() ?? slurmUnprepared(prefix))) {
  t.test('private Slurms of two versions run side by side, run a job each, and leave nothing', async (t) => {
    const labs = await Promise.all([startSlurmLab({ nodes: 1 }), startSlurmLab({ nodes: 1, prefix })])
    for (const lab of labs) t.teardown(() => lab.close())
    const versions = await Promise.all(labs.map((lab) => lab.run('sinfo', '--version')))
    t.match(versions[1], / 24\.11\./)
    t.not(versions[0], versions[1])
    const pids: string[] = []
    for (const lab of labs) {
      const jobId = (await lab.run('sbatch', '--parsable', '--output=/dev/null', '--wrap=sleep 600')).trim()
      t.match(jobId, /^\d+$/)
      await eventually(async () => (await lab.run('squeue', '-h', '-o', '%T')).trim() === 'RUNNING')
      pids.push(
        (await eventually(() => lab.run('scontrol', 'listpids', jobId)))
          .trim()
          .split('\n')
          .at(-1)!
          .trim()
          .split(/\s+/)[0]!
      )
    }
    for (const lab of labs) await lab.close()
    for (const lab of labs) t.notOk(existsSync(lab.dir))
    for (const pid of pids)
      t.equal(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''), '', 'the job has ended')
  })
  t.test('the controller, stopped and started, comes back with its jobs', async (t) => {
    const lab = await startSlurmLab({ nodes: 1 })
    t.teardown(() => lab.close())
    await lab.run('sbatch', '--parsable', '--hold', '--output=/dev/null', '--wrap=true')
    await lab.stop('slurmctld')
    await t.rejects(lab.run('squeue'))
    await lab.start('slurmctld')
    t.equal((await lab.run('squeue', '-h', '-o', '%T')).trim(), 'PENDING')
  })
}
