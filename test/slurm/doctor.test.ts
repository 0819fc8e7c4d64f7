import t from 'tap'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { once } from 'node:events'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { accountingMissing, slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { CallHome } from '@interlink-ts/plugins/kit'
import { slurmBackend } from '@interlink-ts/plugins/slurm'
import { eventually } from '../support/eventually.ts'
import { faketimeMissing, skewedClock } from '../support/faketime.ts'
import { freePort } from '../support/free-port.ts'
import { runInterlink } from '../support/interlink.ts'
import { onPath } from '../support/on-path.ts'
import { requireReal } from '../support/require-real.ts'
import { accountsMissing, makeAccounts } from '../support/accounts.ts'
import { sshdMissing, startSshd } from '../support/sshd.ts'

const apptainerHome = '/opt/apptainer/bin'
const apptainer = existsSync(`${apptainerHome}/apptainer`)
  ? `${apptainerHome}/apptainer`
  : onPath('apptainer')
const missing =
  slurmMissing() ?? sshdMissing() ?? faketimeMissing() ?? (apptainer ? undefined : 'apptainer is missing')
const log = { debug() {}, info() {}, warn() {}, error() {} }
// Here root lacks a capability that Apptainer would hand on.
const drop = process.getuid!() === 0 ? ['--drop-caps', 'CAP_SYS_RESOURCE'] : []

if (requireReal(t, missing)) {
  const lab = await startSlurmLab({ nodes: 1 })
  t.teardown(() => lab.close())
  const sshd = await startSshd()
  t.teardown(() => sshd.close())
  const containers = { tool: apptainer, options: drop }
  let counter = 0
  const doctor = async (options: object) => {
    const root = join(lab.dir, `doctor-${++counter}`)
    const backend = slurmBackend.create({ conf: lab.env.SLURM_CONF, containers, ...options }, { root, log })
    try {
      const checks = await backend.check()
      return { checks, bad: checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`) }
    } finally {
      await backend.close!()
    }
  }
  const left = () => lab.run('squeue', '-h', '-t', 'pending,running', '-o', '%A')

  t.test('the command says what a working cluster has, found by a job on a node', async (t) => {
    const root = join(lab.dir, 'jobs')
    const file = join(lab.dir, 'plugin.yaml')
    const options = {
      conf: lab.env.SLURM_CONF,
      containers,
      batch: { flavors: [{ name: 'cpu', flags: '--partition=short' }], defaultFlavor: 'cpu' }
    }
    await writeFile(file, JSON.stringify({ root, options }))
    const { code, stdout } = await runInterlink(['doctor', 'slurm', '--config', file], {
      env: { ...process.env, PATH: lab.env.PATH }
    })
    for (const line of [
      /✓ clients +Slurm \d+\.\d+\S* on this machine/,
      /✓ controller +Slurm \S+ of cluster lab; \d+ jobs/,
      /✓ munge +makes credentials/,
      /✓ lock +flock/,
      /✓ nodes +1 of 1 nodes usable/,
      /✓ partitions +debug \(default\) ≤ 60 min, short ≤ 1 min/,
      /✓ accounts +the cluster keeps none/,
      /✓ job directories +\S+: written by the job on \S+, read here/,
      /✓ user namespaces/,
      /✓ exec +reached by srun/,
      /✓ apptainer +apptainer version \S+; a container has run on/,
      /✓ clock of this machine/,
      /✓ clock of \S+ +within 30 s/
    ])
      t.match(stdout, line)
    t.equal(code, 0, stdout)
    t.match(await lab.run('squeue', '-h', '-t', 'all', '-o', '%j %P %T'), /interlink-doctor short COMPLETED/)
  })

  t.test('what the node lacks is named with the way to mend it', async (t) => {
    const { checks, bad } = await doctor({ containers: { tool: 'apptainer-that-is-not-there' } })
    t.match(bad, [/^apptainer: apptainer-that-is-not-there does not run on .*not found/])
    t.match(checks.find(({ name }) => name === 'apptainer')!.fix, /containers\.tool.*batch\.preamble/)
    t.match((await doctor({ containers: { ...containers, options: ['--no-such-option'] } })).bad, [
      /^apptainer: a container does not start on .*no-such-option/
    ])
  })

  t.test('a job that would have to call the plugin does, also where the plugin runs already', async (t) => {
    const port = await freePort()
    const streams = {
      via: ['call-home'],
      startSeconds: 20,
      callHome: { listen: `http://127.0.0.1:${port}` }
    }
    const exec = async () => {
      const { checks } = await doctor({ containers: { runtime: 'host' }, streams })
      return checks.find(({ name }) => name === 'exec')
    }
    t.match(await exec(), { ok: true, detail: 'reached by call-home' })
    const runs = new CallHome({ ...streams.callHome, keep: false }, { root: lab.dir, log }, 'callHome')
    await runs.listen()
    t.match(await exec(), { ok: true, detail: 'reached by call-home' })
    await runs.close()
    const other = createServer().listen(port, '127.0.0.1')
    await once(other, 'listening')
    other.on('connection', (socket) => socket.destroy())
    t.match(await exec(), { ok: false, detail: /^call-home: 127\.0\.0\.1:\d+ does not answer/ })
    other.close()
  })

  t.test('clocks of the login node and of the compute node that are off are told', async (t) => {
    const variables = Object.entries(skewedClock(240)).map(([name, value]) => `${name}=${value}`)
    const preamble = `export ${variables.join(' ')}`
    const node = await doctor({ containers: { runtime: 'host' }, batch: { preamble } })
    t.match(node.bad, [/^clock of \S+: at least [12]\d\d s/])
    const late = await startSshd(skewedClock(-240))
    t.teardown(() => late.close())
    const login = await doctor({ ssh: late.options, containers: { runtime: 'host' } })
    t.match(login.bad, [/^clock of \S+@127\.0\.0\.1\S*: at least [12]\d\d s/], 'the job is not of the login')
  })

  t.test('a partition that is not there is named with who asks for it', async (t) => {
    const { bad } = await doctor({
      partition: 'nope',
      containers: { runtime: 'host' },
      batch: { flavors: [{ name: 'gpu', flags: '-p volta,debug' }] }
    })
    t.match(bad, [
      /^partitions: there is no partition nope \(options\.partition\), volta \(flavor gpu\); there are debug/
    ])
  })

  t.test('a job that does not start in time is cancelled, and its reason told', async (t) => {
    await lab.run('scontrol', 'update', 'NodeName=n1', 'State=DRAIN', 'Reason=test')
    t.teardown(() => lab.run('scontrol', 'update', 'NodeName=n1', 'State=RESUME'))
    const { bad } = await doctor({ timeouts: { testJobSeconds: 2 } })
    t.match(bad, [
      /^nodes: none of 1 nodes is usable/,
      /^test job: job \d+ still waits in the queue after 2 s \(\S+\)/
    ])
    await eventually(async () => (await left()) === '')
  })

  t.test('behind SSH, the directory of the cluster is tried from there', async (t) => {
    const ssh = { ...sshd.options, directory: join(lab.dir, 'far') }
    t.strictSame((await doctor({ ssh })).bad, [])
  })

  t.test('a root that the nodes do not see is told', async (t) => {
    if (!requireReal(t, ownMounts())) return
    const other = await startSlurmLab({ nodes: 1 })
    t.teardown(() => other.close())
    await mkdir(join(other.dir, 'jobs'))
    await other.kill('n1')
    await other.start('n1', [
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount -t tmpfs none "$0" && exec "$@"',
      join(other.dir, 'jobs')
    ])
    const root = join(other.dir, 'jobs/root')
    const backend = slurmBackend.create({ conf: other.env.SLURM_CONF, containers }, { root, log })
    const bad = (await backend.check()).filter(({ ok }) => !ok)
    await backend.close!()
    t.match(bad, [{ name: 'job directories', detail: /does not see what is written here/, fix: /root/ }])
  })

  t.test('without the controller, what can be tried is', async (t) => {
    await lab.stop('slurmctld')
    const { checks, bad } = await doctor({})
    t.match(bad, [/^controller: .*contact slurm controller/i])
    t.ok(checks.some(({ name, ok }) => name === 'clients' && ok))
  })
}

t.test('accounts and munge of a cluster with slurmdbd', async (t) => {
  if (!requireReal(t, missing ?? accountingMissing() ?? accountsMissing())) return
  const lab = await startSlurmLab({
    nodes: 1,
    accounting: true,
    extra: ['AccountingStorageEnforce=associations']
  })
  t.teardown(() => lab.close())
  const sshd = await startSshd()
  t.teardown(() => sshd.close())
  const { accounts, remove } = await makeAccounts([`ild${process.pid}`], [])
  t.teardown(remove)
  const { name } = accounts[0]!
  for (const dir of [lab.dir, sshd.dir]) await chmod(dir, 0o711)
  await chmod(join(sshd.dir, 'authorized'), 0o644)
  const options = {
    conf: lab.env.SLURM_CONF,
    containers: { runtime: 'host' },
    ssh: { ...sshd.options, user: name, directory: '~/jobs' }
  }
  const doctor = async () => {
    const backend = slurmBackend.create(options, { root: join(lab.dir, 'root'), log })
    const checks = await backend.check().finally(() => backend.close!())
    return { checks, bad: checks.filter(({ ok }) => !ok) }
  }

  t.match((await doctor()).bad, [
    {
      name: 'accounts',
      detail: `${name} has none, and the cluster takes no jobs without`,
      fix: /sacctmgr add user/
    },
    { detail: /Invalid account or account\/partition combination/ }
  ])

  await lab.run('sacctmgr', '-i', 'add', 'account', 'physics')
  await lab.run('sacctmgr', '-i', 'add', 'user', name, 'account=physics')
  const { checks, bad } = await doctor()
  t.same(bad, [])
  t.match(
    checks.find((check) => check.name === 'accounts'),
    { detail: new RegExp(`^${name}: physics`) }
  )

  await lab.kill('munged')
  const down = (await doctor()).bad
  t.match(
    down.map((check) => check.name),
    ['controller', 'munge']
  )
  t.match(down[1], { detail: /munge/i, fix: /start munged on this machine, with the key of the cluster/ })
})

function ownMounts(): string | undefined {
  return spawnSync('unshare', ['--mount', 'true']).status === 0
    ? undefined
    : 'no mount namespaces for this user'
}
