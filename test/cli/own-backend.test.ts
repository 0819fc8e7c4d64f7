import t, { type Test } from 'tap'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createInterlinkClient } from '@interlink-ts/interlink-api/client'
import { decode, type Pod } from '@interlink-ts/interlink-api/wire'
import { eventually } from '../support/eventually.ts'
import { runInterlink } from '../support/interlink.ts'
import { onPath } from '../support/on-path.ts'
import { signalGroup, spawnReaped, temporaryDirectory } from '../support/reaper.ts'
import { requireReal } from '../support/require-real.ts'

const bin = fileURLToPath(new URL('../../packages/cli/bin/interlink.js', import.meta.url))
const at = fileURLToPath(new URL('../../examples/backend/at.js', import.meta.url))

const hello = fileURLToPath(new URL('../../examples/hello.yaml', import.meta.url))

const isRunning = async (name: string): Promise<boolean> => {
  for (const pid of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)))
    if ((await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')) === `${name}\n`) return true
  return false
}

t.test('what a module lacks that is to be a backend is said', async (t) => {
  const dir = t.testdir({
    'none.js': '',
    'half.js': 'export default { name: "half", options: {} }',
    'loud.js': 'export default { name: "Loud Name" }',
    'broken.js': 'export default {'
  })
  for (const [file, words] of Object.entries({
    none: /none\.js lacks name/,
    half: /half\.js lacks create, a function/,
    loud: /loud\.js lacks name, lower-case letters/,
    broken: /broken\.js cannot be imported: Unexpected/,
    away: /away\.js cannot be imported/
  })) {
    const { code, stderr } = await runInterlink(['plugin', join(dir, `${file}.js`)])
    t.equal(code, 1)
    t.match(stderr, words)
  }
})

/** Whether jobs of at(1) can run here; starts their daemon for the time of the test. */
async function atRuns(t: Test): Promise<boolean> {
  const why = ['at', 'atd'].every((name) => onPath(name) || onPath(`../sbin/${name}`))
    ? process.getuid!() === 0
      ? undefined
      : 'only root starts atd'
    : 'at is not installed'
  if (!requireReal(t, why)) return false
  if (await isRunning('atd')) return true
  const daemon = spawn('/usr/sbin/atd', ['-f'], { stdio: 'ignore' })
  t.teardown(() => daemon.kill())
  return eventually(() => isRunning('atd'))
}

t.test('the example pod runs by `interlink up` on that backend', async (t) => {
  if (!(await atRuns(t))) return
  const { code, stdout, stderr } = await runInterlink(['up', '--backend', at, '--exit'])
  t.equal(code, 0, stderr)
  t.match(stdout, /→ Succeeded/)
  for (const command of [
    ['doctor', 'plugin', '--backend', at],
    ['render', hello, '--backend', at]
  ])
    t.equal((await runInterlink(command)).code, 0, command.join(' '))
})

t.test('pods run as jobs of at(1) through the backend that the guide explains', async (t) => {
  if (!(await atRuns(t))) return
  const directory = temporaryDirectory('own-backend')
  t.teardown(() => directory.remove())
  const [root, url] = [join(directory.path, 'jobs'), `unix://${join(directory.path, 'plugin.sock')}`]
  await mkdir(root, { mode: 0o700 })
  const client = createInterlinkClient({ url, verbs: 'plugin' })
  t.teardown(() => client.close())
  const start = async () => {
    const plugin = spawnReaped(process.execPath, [bin, 'plugin', at, '--root', root, '--listen', url], {
      env: { PATH: process.env.PATH, HOME: directory.path, SITE_SECRET: 'of-the-plugin' },
      stdio: 'ignore'
    })
    await eventually(() => client.ping().then(({ ok }) => ok))
    return plugin
  }
  let plugin = await start()
  t.teardown(() => signalGroup(plugin, 'SIGKILL'))
  const create = (name: string, script: string, container: object = {}) => {
    const pod: Pod = {
      metadata: { name, namespace: 'default', uid: `${name}-uid` },
      spec: {
        nodeName: 'n',
        restartPolicy: 'Never',
        containers: [{ name: 'main', image: 'host', command: ['sh', '-c', script], ...container }]
      }
    } as Pod
    return client.create({ pod, container: [] })
  }
  const ref = (name: string) => ({
    metadata: { name, namespace: 'default', uid: `${name}-uid`, deletionGracePeriodSeconds: 1 }
  })
  const state = async (name: string) => (await client.status([ref(name)]))[0]?.containers[0]?.state

  const { PodJID } = await create('hello', 'echo hello of at; env; exit 3')
  t.match(PodJID, /^\d+$/)
  const ended = await eventually(async () => (await state('hello'))?.terminated)
  t.equal(ended.exitCode, 3)
  const request = {
    Namespace: 'default',
    PodUID: 'hello-uid',
    PodName: 'hello',
    ContainerName: 'main',
    Opts: {}
  }
  const { stream } = await client.logs(decode('LogStruct', request))
  const log = (await stream.toArray()).join('')
  t.match(log, /^hello of at\n/)
  t.notMatch(log, /of-the-plugin/)

  await create('long', 'exec sleep 600')
  await eventually(async () => (await state('long'))?.running)
  const killed = once(plugin, 'exit')
  process.kill(plugin.pid!, 'SIGKILL')
  await killed
  plugin = await start()
  t.ok((await state('long'))?.running, 'the job is found again')
  await client.delete(ref('long'))
  await eventually(async () => (await client.status([ref('long')])).length === 0)
  t.notMatch(execFileSync('atq', { encoding: 'utf8' }), new RegExp(`^${PodJID}\t`, 'm'))

  await t.rejects(create('image', 'true', { image: 'busybox' }), /only the image "host" runs here/)
})
