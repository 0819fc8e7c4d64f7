import t from 'tap'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startHtcondorLab, type HtcondorLab } from '@interlink-ts/dev-cluster/htcondor'
import { htcondorBackend } from '@interlink-ts/plugins/htcondor'
import { runInterlink } from '../support/interlink.ts'
import { onPath } from '../support/on-path.ts'
import { requireReal } from '../support/require-real.ts'
import { htcondorPrefix as prefix, htcondorUnprepared } from './prefix.ts'

const usual = '/opt/apptainer/bin/apptainer'
const tool = existsSync(usual) ? usual : onPath('apptainer')
const missing = htcondorUnprepared() ?? (tool ? undefined : 'apptainer is missing')
// Here root lacks a capability that Apptainer would hand on.
const containers = { tool, options: process.getuid!() === 0 ? ['--drop-caps', 'CAP_SYS_RESOURCE'] : [] }
const log = { debug() {}, info() {}, warn() {}, error() {} }

let counter = 0
const doctor = async (lab: HtcondorLab, options: object) => {
  const root = join(lab.dir, `doctor-${++counter}`)
  const backend = htcondorBackend.create({ ...lab.options, containers, ...options }, { root, log })
  try {
    const checks = await backend.check()
    const said = (name: string) => {
      const check = checks.find((each) => each.name === name)
      return check && `${check.ok ? '✓' : '✗'} ${check.detail}${check.ok ? '' : ` → ${check.fix}`}`
    }
    return { said, bad: checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`) }
  } finally {
    await backend.close!()
  }
}
const left = (lab: HtcondorLab) => {
  const { schedd } = lab.options
  return lab.run('condor_q', ...(schedd ? ['-name', schedd] : []), '-allusers', '-af', 'ClusterId')
}

if (requireReal(t, missing)) {
  t.test('a pool with a shared file system', async (t) => {
    const lab = await startHtcondorLab({ prefix, nodes: 1 })
    t.teardown(() => lab.close())

    await t.test('the command says what a job has found on a machine', async (t) => {
      const file = join(lab.dir, 'plugin.yaml')
      const options = { ...lab.options, containers, streams: { startSeconds: 60 } }
      await writeFile(file, JSON.stringify({ root: join(lab.dir, 'jobs'), options }))
      const { code, stdout } = await runInterlink(['doctor', 'htcondor', '--config', file], {
        env: { ...process.env, PATH: lab.env.PATH }
      })
      for (const line of [
        /✓ clients +HTCondor \d+\.\d+\S* on this machine/,
        /✓ queue +0 jobs of pods/,
        /✓ lock +flock/,
        /✓ slots +1 machines, 8 cpus; 1 of them announce Apptainer/,
        /✓ files +shared: \S+ is written by a job on \S+, and read here at once/,
        /✓ sessions +setsid or perl/,
        /✓ exec +reached by ssh-to-job/,
        /✓ apptainer +apptainer version \S+; a container has run on \S+/,
        /✓ clock of \S+ +within 30 s/
      ])
        t.match(stdout, line)
      t.equal(code, 0, stdout)
      t.equal(await left(lab), '')
    })

    await t.test('where files are transferred without need, it says what would be better', async (t) => {
      const { said, bad } = await doctor(lab, { files: 'transfer', streams: { via: [] } })
      t.same(bad, [])
      t.match(
        said('files'),
        /^✓ transfer: a job has run on \S+ It sees \S+ too: with options.files: shared, /
      )
      t.match(said('exec'), /not offered/)
    })

    await t.test('a job that no machine takes, and a container that does not start, are told', async (t) => {
      const idle = await doctor(lab, {
        submit: { requirements: 'Memory < 0' },
        timeouts: { testJobSeconds: 5 }
      })
      t.match(
        idle.said('files'),
        /^✗ files: shared: job \d+\.\d+ still waits after 5 s.*; it is removed → .*with files: transfer a job did not run either/
      )
      const broken = await doctor(lab, { containers: { tool: '/nowhere' }, streams: { via: [] } })
      t.match(broken.said('apptainer'), /^✗ \/nowhere does not run on \S+: .* → .*options.submit.preamble/)
      t.equal(await left(lab), '')
    })
  })

  t.test('a pool without: transfer is what it recommends, and what works', async (t) => {
    const lab = await startHtcondorLab({ prefix, nodes: 1, sharedFileSystem: false, remoteSchedd: true })
    t.teardown(() => lab.close())
    const streams = { via: ['ssh-to-job'], startSeconds: 60 }
    const shared = await doctor(lab, { files: 'shared', streams })
    t.match(
      shared.said('files'),
      /^✗ files: shared: no machine shares the file systems .* → set options.files: transfer; a job with it has run on/
    )
    const { said, bad } = await doctor(lab, { files: 'transfer', streams, containers: { runtime: 'host' } })
    t.same(bad, [])
    t.match(said('files'), /^✓ transfer: a job has run on \S+, which does not share /)
    t.match(said('exec'), /^✓ reached by ssh-to-job/)
    t.equal(await left(lab), '')
  })
}
