import t, { type Test } from 'tap'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { Hub, hubArgv, type LiveProcess } from '../src/kit/streams/hub.ts'
import { hubAccess } from '../src/kit/streams/hub-access.ts'
import { localProcess } from '../src/kit/streams/local-process.ts'
import { eventually } from '../../../test/support/eventually.ts'

const never = new AbortController().signal

const overs = (dir: string): string[] => readdirSync(dir)

/** A job directory whose supervisor is a process with that environment, and a hub beside it. */
async function startHub(t: Test, env: Record<string, string> = { PATH: process.env.PATH! }) {
  const dir = t.testdir({})
  const supervisor = spawn('/bin/sleep', ['1000'], { env, stdio: 'ignore' })
  t.teardown(() => supervisor.kill('SIGKILL'))
  await once(supervisor, 'spawn')
  mkdirSync(join(dir, 'state'))
  writeFileSync(join(dir, 'state/supervisor'), `pid=${supervisor.pid}\nstarted=1\n`)
  const live = await localProcess(
    ['sh', '-c', 'echo a word of the site; exec "$@"', '-', ...(await hubArgv(dir))],
    {
      OF_THE_PLUGIN: 'yes'
    }
  )
  const hub = new Hub(live)
  t.teardown(() => hub.close())
  await hub.ready(20_000)
  return { hub, live, dir }
}

t.test(
  'a program gets the environment of the supervisor, its words as they are, and its exit code',
  async (t) => {
    const { hub } = await startHub(t, { PATH: process.env.PATH!, WORD: 'a\nb=c' })
    const words = ['', ' a  b ', '-n', '$(id)', '\'"\\', 'a\nb\n', 'ü\u0007']
    const script = 'echo "$WORD" "${OF_THE_PLUGIN-}" >&2; printf "<%s>" "$@"; exit 9'
    const { stdin, stdout, stderr, exit } = await hub.run(['/bin/sh', '-c', script, '-', ...words], never)
    stdin.end()
    t.equal(await text(stdout), words.map((word) => `<${word}>`).join(''))
    t.equal(await text(stderr), 'a\nb=c \n')
    t.equal(await exit, 9)
    const killed = await hub.run(['/bin/sh', '-c', 'kill -9 $$'], never)
    t.equal(await killed.exit, 137)
    const missing = await hub.run(['/no/such/program'], never)
    t.equal(await missing.exit, 127)
    t.match(await text(missing.stderr), /No such file/)
    await eventually(() => hub.sessions === 0)
  }
)

t.test('bytes pass both ways as they are; who does not read holds up nobody else', async (t) => {
  const { hub } = await startHub(t)
  const slow = await hub.run(['cat', '/dev/zero'], never)
  const bytes = randomBytes(20_000_000)
  const cats = await Promise.all([1, 2, 3].map(() => hub.run(['cat'], never)))
  for (const { stdin } of cats) stdin.end(bytes)
  for (const { stdout } of cats) t.ok((await buffer(stdout)).equals(bytes))
  t.ok(slow.stdout.readableLength <= 1.25 * 1024 * 1024, 'no more than a window and a quarter is held')
  let more = 0
  slow.stdout.on('data', (chunk: Buffer) => (more += chunk.length))
  await eventually(() => more > 5_000_000)
})

t.test('a caller that goes ends its program alone; the end of the hub ends them all', async (t) => {
  const { hub, live, dir } = await startHub(t)
  const left = new AbortController()
  const script = (name: string) => ['/bin/sh', '-c', `cat >/dev/null; echo over >${join(dir, name)}`]
  const one = await hub.run(script('one'), left.signal)
  const other = await hub.run(script('other'), never)
  left.abort()
  await t.rejects(one.exit, /left/)
  await eventually(() => overs(dir).includes('one'))
  t.notOk(overs(dir).includes('other'))
  live.kill()
  await t.rejects(other.exit, { code: 'PLUGIN_SESSION_LOST' })
  await eventually(() => overs(dir).includes('other'))
  t.ok(hub.isOver)
})

t.test('a command is hung up on when its caller goes, and killed where that does not do', async (t) => {
  const { hub, live, dir } = await startHub(t)
  const left = new AbortController()
  const polite = `trap 'echo heard >${join(dir, 'polite')}; exit' HUP; while :; do sleep 0.05; done`
  const beat = join(dir, 'beat')
  const deaf = `trap '' HUP; (while :; do date +%N >${beat}; sleep 0.05; done) & wait`
  const one = await hub.command(['/bin/sh', '-c', polite], left.signal)
  const other = await hub.command(['/bin/sh', '-c', deaf], left.signal)
  const last = await hub.command(['/bin/sh', '-c', polite.replace('polite', 'last')], never)
  await eventually(() => overs(dir).includes('beat'))
  left.abort()
  await Promise.all([one, other].map(({ exit }) => t.rejects(exit, /left/)))
  await eventually(() => overs(dir).includes('polite'))
  let before = ''
  const stands = async () => {
    const [now, last] = [await readFile(beat, 'utf8'), before]
    before = now
    return now === last
  }
  await eventually(stands, { everyMs: 500 })
  t.notOk(overs(dir).includes('last'))
  live.stdin.end()
  await t.rejects(last.exit, { code: 'PLUGIN_SESSION_LOST' })
  await eventually(() => overs(dir).includes('last'))
})

t.test('what a command leaves in the background does not keep its streams open', async (t) => {
  const { hub, dir } = await startHub(t)
  const script = `(sleep 1; echo on >${join(dir, 'on')}; sleep 1000) & echo $!; head -c 1000000 /dev/zero; exit 3`
  const { stdin, stdout, exit } = await hub.command(['/bin/sh', '-c', script], never)
  stdin.end()
  await once(stdout, 'readable')
  await eventually(() => stdout.readableLength >= 256 * 1024)
  const bytes = await buffer(stdout)
  const pid = Number(bytes.subarray(0, bytes.indexOf('\n')).toString())
  t.teardown(() => process.kill(pid, 'SIGKILL'))
  t.equal(bytes.length, bytes.indexOf('\n') + 1 + 1_000_000)
  t.equal(await exit, 3)
  await eventually(() => overs(dir).includes('on'))
})

t.test('a connection has two halves with an end each; what does not listen is told', async (t) => {
  const { hub } = await startHub(t)
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let bytes = 0
    socket.on('data', (chunk: Buffer) => (bytes += chunk.length))
    socket.on('end', () => socket.end(String(bytes)))
  }).listen(0, 'localhost')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const answers = await Promise.all(
    [0, 1, 3_000_000].map(async (bytes) => {
      const connection = await hub.connect(port, never)
      connection.end(Buffer.alloc(bytes))
      return text(connection)
    })
  )
  t.same(answers, ['0', '1', '3000000'])
  await t.rejects(hub.connect(1, never), /refused/)
  const connections = () =>
    new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)))
  const kept = await hub.connect(port, never)
  const cut = await hub.connect(port, never)
  await eventually(async () => (await connections()) === 2)
  cut.destroy()
  await eventually(async () => (await connections()) === 1)
  kept.destroy()
  await eventually(() => hub.sessions === 0)
})

t.test('the way that works is kept; where none does, the words of each are told', async (t) => {
  const { dir } = await startHub(t)
  const asked: string[] = []
  const way = (name: string, argv: readonly string[]) => ({
    name,
    open: async (): Promise<LiveProcess> => {
      asked.push(name)
      return localProcess(argv, process.env)
    }
  })
  const closed = way('first', ['sh', '-c', 'echo not here >&2; exit 1'])
  const job = { uid: 'u', jobId: '1', dir }
  const access = hubAccess({ ways: [closed, way('second', await hubArgv(dir))], timeoutMs: 20_000 })
  t.teardown(() => access.close())
  t.same(access.via, ['first', 'second'])
  const runs = await Promise.all([1, 2].map(() => access.run(job, ['echo', 'here'], never)))
  for (const { stdout } of runs) t.equal(await text(stdout), 'here\n')
  t.same([access.via, asked], [['second'], ['first', 'second']], 'both through one')
  access.close('u')
  await (
    await access.run(job, ['true'], never)
  ).exit
  t.same(asked, ['first', 'second', 'second'])
  const none = hubAccess({ ways: [closed, way('second', ['/no/such'])], timeoutMs: 20_000 })
  await t.rejects(none.run(job, ['true'], never), {
    code: 'PLUGIN_NO_WAY',
    message: /first: not here; second: .*ENOENT/
  })
})
