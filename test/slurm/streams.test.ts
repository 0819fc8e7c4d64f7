import t from 'tap'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { createInterlinkClient, type InterlinkClient } from '@interlink-ts/interlink-api/client'
import type { RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { slurmMissing, startSlurmLab, type SlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { eventually } from '../support/eventually.ts'
import { spawnReaped } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'
import { eachSlurm } from './each-slurm.ts'
import { isRunning, scriptPod, startSlurmPlugin, whenStatus, type ScriptPod } from './slurm-plugin.ts'
import { sshdMissing, startSshd } from '../support/sshd.ts'

const program = fileURLToPath(new URL('plugin-process.ts', import.meta.url))
const loader = new URL('../../scripts/lib/typescript.mjs', import.meta.url).href

const open = (client: InterlinkClient, { pod }: RetrievedPodData, command: string[], stdin = false) =>
  client.stream(pod.metadata.uid!, { kind: 'exec', container: 'main', command, stdin, tty: false })

async function exec(client: InterlinkClient, pod: RetrievedPodData, script: string) {
  const session = await open(client, pod, ['/bin/sh', '-c', script])
  const [out, status] = await Promise.all([text(session.output).catch(() => ''), session.status])
  return { out, said: status.message ?? '', status: status.status }
}

async function running(client: InterlinkClient, given: ScriptPod = {}): Promise<RetrievedPodData> {
  const pod = scriptPod('sleep 1000', given)
  await client.create(pod)
  await whenStatus(client, pod, isRunning)
  return pod
}

/** Steps of sessions, with the node of each. */
const steps = async (lab: SlurmLab) =>
  (await lab.run('squeue', '-h', '-s', '-o', '%j %N'))
    .split('\n')
    .filter((line) => line.startsWith('interlink-streams'))

eachSlurm(t, slurmMissing, async (t, prefix) => {
  const lab = await startSlurmLab({ prefix })
  t.teardown(() => lab.close())

  await t.test('all sessions of a job are one step on its first node, which holds up no end', async (t) => {
    process.env.PLUGIN_SECRET = 'planted'
    t.teardown(() => delete process.env.PLUGIN_SECRET)
    const { client, close } = await startSlurmPlugin(t, lab)
    const flags = { annotations: { 'slurm-job.vk.io/flags': '--nodes=2 --ntasks=2' } }
    const pods = [await running(client, flags), await running(client)]
    t.equal((await client.ping()).parsed?.streams, 'srun, ssh', 'none has been tried yet')
    const [first, second] = pods as [RetrievedPodData, RetrievedPodData]
    await Promise.all(Array.from({ length: 5 }, () => exec(client, first, 'true')))
    t.same(await steps(lab), ['interlink-streams n1'])
    t.equal((await client.ping()).parsed?.streams, 'srun')
    const above = 'pid=$PPID; for _ in 1 2; do cat /proc/$pid/environ; pid=$(ps -o ppid= $pid); done'
    const { out } = await exec(client, first, `${above} | tr "\\0" "\\n"`)
    t.match(out, /^PATH=/m)
    t.notMatch(out, /planted/, 'nothing of the plugin goes along')

    const held = await open(client, second, ['/bin/sh', '-c', 'echo here; sleep 1000'])
    await once(held.output, 'data')
    t.equal((await steps(lab)).length, 2)
    await client.delete({ metadata: { ...second.pod.metadata } })
    await eventually(async () => (await steps(lab)).length === 1)
    t.equal((await held.status).status, 'Failure')
    await close()
    await eventually(async () => (await steps(lab)).length === 0)
    t.match(await lab.run('squeue', '-h', '-t', 'running', '-o', '%T'), 'RUNNING', 'the job goes on')
  })

  // The plugin's part is the same with any Slurm.
  if (prefix !== undefined) return
  await t.test('a plugin that is killed leaves no session behind', async (t) => {
    const dir = join(lab.dir, 'killed')
    await mkdir(dir, { mode: 0o700 })
    const child = spawnReaped(
      process.execPath,
      ['--conditions=interlink-ts-source', `--import=${loader}`, program, dir, lab.env.SLURM_CONF],
      { stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: lab.env.PATH, HOME: dir } }
    )
    await once(child.stdout!, 'data')
    const client = createInterlinkClient({ url: `unix://${join(dir, 'plugin.sock')}`, verbs: 'plugin' })
    t.teardown(() => client.close())
    const pod = await running(client)
    const beat = join(dir, 'beat')
    const held = await open(client, pod, [
      '/bin/sh',
      '-c',
      `trap '' HUP; while :; do date +%N >${beat}; sleep 0.1; done`
    ])
    await eventually(() => readFile(beat, 'utf8'))
    const lost = t.rejects(held.status)
    process.kill(child.pid!, 'SIGKILL')
    await lost
    await eventually(async () => (await steps(lab)).length === 0)
    let last = ''
    await eventually(
      async () => {
        const before = last
        last = await readFile(beat, 'utf8')
        return last === before
      },
      { everyMs: 500 }
    )
  })
})

t.test('where srun is not to be had, ssh to the node is taken', async (t) => {
  if (!requireReal(t, slurmMissing() ?? sshdMissing())) return
  const lab = await startSlurmLab()
  t.teardown(() => lab.close())
  const sshd = await startSshd()
  t.teardown(() => sshd.close())
  const bin = join(lab.dir, 'bin')
  await mkdir(bin)
  await writeFile(join(bin, 'srun'), '#!/bin/sh\necho srun is closed here >&2\nexit 1\n', { mode: 0o755 })
  const { port, user, keyFile, knownHostsFile } = sshd.options
  const config = join(lab.dir, 'ssh_config')
  await writeFile(
    config,
    `Host n*\nHostName 127.0.0.1\nPort ${port}\nUser ${user}\nIdentityFile ${keyFile}\nUserKnownHostsFile ${knownHostsFile}\n`
  )
  const ssh = ['ssh', '-T', '-F', config, '-o', 'BatchMode=yes']
  const { client } = await startSlurmPlugin(t, lab, undefined, { bin, streams: { ssh } })
  const pod = await running(client)
  t.match(await exec(client, pod, 'echo "$0 $HOME"; exit 0'), { out: /^\/bin\/sh \//, status: 'Success' })
  const bytes = randomBytes(500_000)
  const session = await open(client, pod, ['cat'], true)
  session.input.end(bytes)
  t.ok((await buffer(session.output)).equals(bytes))
  t.equal((await client.ping()).parsed?.streams, 'ssh')
  t.same(await steps(lab), [])

  const none = await startSlurmPlugin(t, lab, undefined, { bin, streams: { via: ['srun'] } })
  const { said, status } = await exec(none.client, await running(none.client), 'true')
  t.equal(status, 'Failure')
  t.match(said, /not reached: srun: srun is closed here; interlink doctor/)
  const closed = await startSlurmPlugin(t, lab, undefined, { streams: { via: [] } })
  await t.rejects(exec(closed.client, await running(closed.client), 'true'), { code: 'PLUGIN_NOT_OFFERED' })
})

t.test('where neither is to be had, the job calls the plugin', async (t) => {
  if (!requireReal(t, slurmMissing() ?? sshdMissing())) return
  const lab = await startSlurmLab()
  t.teardown(() => lab.close())
  const bin = join(lab.dir, 'bin')
  await mkdir(bin)
  await writeFile(join(bin, 'srun'), '#!/bin/sh\necho srun is closed here >&2\nexit 1\n', { mode: 0o755 })
  const streams = {
    ssh: ['sh', '-c', 'echo ssh is closed here >&2; exit 1'],
    callHome: { listen: 'http://127.0.0.1:0' }
  }
  const { client, root } = await startSlurmPlugin(t, lab, undefined, { bin, streams })
  t.equal((await client.ping()).parsed?.streams, 'srun, ssh, call-home')
  const pods = [await running(client), await running(client)] as const
  const [one] = pods
  const ofJob = async ({ pod }: RetrievedPodData) => {
    const pids = (await lab.run('scontrol', 'listpids')).matchAll(/^(\d+) /gm)
    const commands = [...pids].map(([, pid]) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''))
    return (await Promise.all(commands)).filter(
      (line) => line.includes(pod.metadata.uid!) && line.includes('interlink-hub')
    )
  }
  t.same(await ofJob(one), [], 'an ordinary pod needs none of it')
  const answers = await Promise.all(
    pods.flatMap((pod) => [exec(client, pod, 'echo "$0"'), exec(client, pod, 'exit 0')])
  )
  t.same(
    answers.map(({ status }) => status),
    Array.from({ length: 4 }, () => 'Success')
  )
  t.equal((await client.ping()).parsed?.streams, 'call-home')
  t.same(await steps(lab), [])
  const bytes = randomBytes(5_000_000)
  const session = await open(client, one, ['cat'], true)
  session.input.end(bytes)
  t.ok((await buffer(session.output)).equals(bytes))
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const forwarded = await client.stream(one.pod.metadata.uid!, { kind: 'portforward', port })
  forwarded.input.end(bytes)
  t.ok((await buffer(forwarded.output)).equals(bytes))
  const held = await open(client, one, ['/bin/sh', '-c', 'echo here; sleep 1000'])
  await once(held.output, 'data')
  await client.delete({ metadata: { ...one.pod.metadata } })
  t.equal((await held.status).status, 'Failure')
  const log = await readFile(join(root, `default-${pods[1].pod.metadata.uid}`, 'supervisor.log'), 'utf8')
  t.equal(log, '')

  // Its files are copied there, and back.
  const sshd = await startSshd()
  t.teardown(() => sshd.close())
  const ssh = { ...sshd.options, directory: join(lab.dir, 'remote') }
  for (const keep of [false, true]) {
    const callHome = { ...streams.callHome, keep }
    const remote = await startSlurmPlugin(t, lab, undefined, {
      ssh,
      streams: { via: ['call-home'], callHome }
    })
    const pod = await running(remote.client)
    t.match(await exec(remote.client, pod, 'echo here'), { out: 'here\n', status: 'Success' })
    await remote.close()
  }
})

t.test('a login node that is lost loses its sessions, and takes new ones when it is back', async (t) => {
  if (!requireReal(t, slurmMissing() ?? sshdMissing())) return
  const lab = await startSlurmLab()
  t.teardown(() => lab.close())
  const sshd = await startSshd()
  t.teardown(() => sshd.close())
  const { client } = await startSlurmPlugin(t, lab, undefined, { ssh: sshd.options })
  const pod = await running(client)
  const held = await open(client, pod, ['/bin/sh', '-c', 'echo here; sleep 1000'])
  await once(held.output, 'data')
  await sshd.kill()
  t.match(await held.status, { status: 'Failure', reason: 'InternalError' })
  await eventually(async () => (await steps(lab)).length === 0)
  await sshd.start()
  await eventually(async () => (await exec(client, pod, 'echo back')).out === 'back\n')

  const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const forwarded = await client.stream(pod.pod.metadata.uid!, { kind: 'portforward', port })
  const bytes = randomBytes(5_000_000)
  forwarded.input.end(bytes)
  t.ok((await buffer(forwarded.output)).equals(bytes), 'its windows let more through than they hold')
})
