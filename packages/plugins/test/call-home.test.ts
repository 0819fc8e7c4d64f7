import t, { type Test } from 'tap'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { sharedSite } from '../src/kit/sites/site.ts'
import { CallHome, errandBy, type Errand } from '../src/kit/streams/call-home.ts'
import type { CallHomeOptions } from '../src/kit/streams/call-home-options.ts'
import { hubAccess } from '../src/kit/streams/hub-access.ts'
import { makeCertificates } from '../../interlink-api/test/certificates.ts'
import { freePort } from '../../../test/support/free-port.ts'
import { eventually } from '../../../test/support/eventually.ts'
import { inEachWorld, isAlone, startJob, worlds, type RunningJob } from './support-supervisor.ts'

const never = new AbortController().signal
const log = { debug() {}, info() {}, warn() {}, error() {} }
const everywhere = await inEachWorld(t)
const dash = { name: 'dash', sh: 'dash', path: process.env.PATH! }

/** By files, as a plugin has it whose file system the node sees. */
const errand = errandBy(sharedSite)

interface Given extends Partial<CallHomeOptions> {
  readonly root?: string
  readonly errand?: Errand
  readonly timeoutMs?: number
}

function plugin(
  t: Test,
  { root = newRoot(t), timeoutMs = 30_000, errand: by = errand, ...options }: Given = {}
) {
  const home = new CallHome(
    { listen: 'http://127.0.0.1:0', keep: false, ...options },
    { root, log },
    'options.callHome'
  )
  const access = hubAccess({ ways: [home.way(by, timeoutMs)], timeoutMs })
  const close = async () => {
    access.close()
    await home.close()
  }
  t.teardown(close)
  return { home, access, close, root }
}

function newRoot(t: Test): string {
  const root = mkdtempSync(join(tmpdir(), 'interlink-root-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  return root
}

const job = (t: Test, world = dash) =>
  startJob(t, world, { containers: [{ name: 'main', run: 'sleep 1000' }] })
const submitted = ({ uid, dir }: RunningJob) => ({ uid, dir, jobId: '1' })
const said = async (access: ReturnType<typeof plugin>['access'], job: RunningJob, ...argv: string[]) =>
  text((await access.run(submitted(job), argv, never)).stdout)

/** Command lines of everything that runs. */
const commands = (): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8')]
      } catch {
        return []
      }
    })
const callers = ({ dir }: RunningJob) =>
  commands().filter((line) => line.includes(dir) && /\/run\/call\0|interlink-hub/.test(line))

everywhere(
  'a job that is told to calls, serves what is asked, and ends with its connection',
  async (t, world) => {
    if (isAlone(world)) return
    const { access } = plugin(t)
    const running = await job(t, world)
    await running.container('main', ({ state }) => state === 'running')
    t.same(callers(running), [], `${world.name}: nobody has asked`)
    t.equal(await said(access, running, 'sh', '-c', 'echo "$HOME"'), '/\n', world.name)
    const bytes = randomBytes(3_000_000)
    const cat = await access.run(submitted(running), ['cat'], never)
    cat.stdin.end(bytes)
    t.ok((await buffer(cat.stdout)).equals(bytes), world.name)
    const server = createServer((socket) => socket.end('from the port')).listen(0, '127.0.0.1')
    t.teardown(() => server.close())
    await once(server, 'listening')
    const port = (server.address() as AddressInfo).port
    t.equal(await text(await access.connect(submitted(running), port, never)), 'from the port')
    const held = await access.run(submitted(running), ['sleep', '1000'], never)
    const lost = t.rejects(held.exit, { code: 'PLUGIN_SESSION_LOST' })
    await running.stop(0)
    await running.ended
    await lost
    await eventually(() => callers(running).length === 0)
  }
)

t.test('a busybox that is alone says what is missing', async (t) => {
  const { access } = plugin(t, { timeoutMs: 60_000 })
  const running = await job(t, (await worlds(t)).find(isAlone)!)
  await t.rejects(said(access, running, 'true'), {
    code: 'PLUGIN_NO_WAY',
    message: /call-home: perl is not installed where the job runs/
  })
})

t.test('the token is in a private file that is gone, and in no command line', async (t) => {
  const texts: string[] = []
  const watched: Errand = {
    ...errand,
    async leave(to, text) {
      texts.push(text)
      await errand.leave(to, text)
    }
  }
  const nobody = { uid: 'nobody', jobId: '0', dir: t.testdir({}) }
  await errand.leave(nobody, 'here')
  t.equal((await stat(join(nobody.dir, 'call'))).mode & 0o777, 0o600)
  const { access, home } = plugin(t, { errand: watched })
  const [running, other] = [await job(t), await job(t)]
  const held = await access.run(submitted(running), ['sleep', '1000'], never)
  const [, token = ''] = /^token (\S+)$/m.exec(texts[0]!) ?? []
  t.equal(token.length, 43)
  t.notOk(commands().some((line) => line.includes(token)))
  const files = readdirSync(running.dir, { recursive: true, withFileTypes: true }).filter((one) =>
    one.isFile()
  )
  for (const file of files)
    t.notMatch(readFileSync(join(file.parentPath, file.name), 'latin1'), token, file.name)

  const url = await home.listen()
  const knock = async (uid: string, token: string) => {
    const asked = request(new URL(uid, url), {
      headers: { connection: 'Upgrade', upgrade: 'interlink-hub', authorization: `Bearer ${token}` }
    }).end()
    const [answer] = (await Promise.race([once(asked, 'upgrade'), once(asked, 'response')])) as [
      { statusCode: number; socket: Socket }
    ]
    answer.socket.destroy()
    return answer.statusCode
  }
  t.equal(await knock(running.uid, token), 401, 'it was good for one call')
  const waits = access.run(submitted(other), ['echo', 'here'], never)
  await eventually(() => texts.length === 2)
  t.equal(await knock(other.uid, token), 401, 'it is of no use for another pod')
  t.equal(await knock('..%2f', token), 401)
  t.equal(await knock('%ff', token).catch(() => 'cut'), 'cut')
  t.equal(await text((await waits).stdout), 'here\n', 'and the one who waits has come')
  void held.exit.catch(() => {})
})

t.test('a connection that is cut loses its sessions; the next one makes another', async (t) => {
  const sockets: Socket[] = []
  const port = await freePort()
  const between = createServer((socket) => {
    const on = connect(port, '127.0.0.1')
    sockets.push(socket, on)
    for (const each of [socket, on]) each.on('error', () => {})
    socket.pipe(on).pipe(socket)
  }).listen(0, '127.0.0.1')
  t.teardown(() => between.close())
  await once(between, 'listening')
  const { access } = plugin(t, {
    url: `http://127.0.0.1:${(between.address() as AddressInfo).port}/some/where/`,
    listen: `http://127.0.0.1:${port}`
  })
  const running = await job(t)
  const held = await access.run(submitted(running), ['sleep', '1000'], never)
  for (const socket of sockets) socket.destroy()
  await t.rejects(held.exit, { code: 'PLUGIN_SESSION_LOST' })
  t.equal(await said(access, running, 'echo', 'again'), 'again\n')
})

t.test('https goes by openssl, and only to whom the job trusts', async (t) => {
  const { path, dir } = makeCertificates()
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const secure = {
    listen: 'https://127.0.0.1:0',
    certFile: path('server.crt'),
    keyFile: path('server.key')
  }
  const { access } = plugin(t, { ...secure, caFile: path('ca.crt') })
  const running = await job(t)
  const bytes = randomBytes(3_000_000)
  const cat = await access.run(submitted(running), ['cat'], never)
  cat.stdin.end(bytes)
  t.ok((await buffer(cat.stdout)).equals(bytes))
  access.close()
  await eventually(() => callers(running).length === 0)
  const { access: other } = plugin(t, { ...secure, caFile: path('stranger.crt'), timeoutMs: 60_000 })
  await t.rejects(said(other, running, 'true'), {
    code: 'PLUGIN_NO_WAY',
    message: /verif|127\.0\.0\.1:\d+ does not answer/
  })
  t.throws(() => plugin(t, { listen: 'https://127.0.0.1:0' }), {
    message: /options\.callHome\.certFile: is needed/
  })
  t.throws(() => plugin(t, { keyFile: '/key' }), { message: /options\.callHome\.keyFile: is of no use/ })
})

t.test('a job that stays connected is there at once, also for a plugin that was started again', async (t) => {
  const { home, access, close, root } = plugin(t, { keep: true })
  const running = await job(t)
  const { path, mode, text } = await home.keptFile(running.uid)
  await writeFile(join(running.dir, path), text, { mode })
  const words = () => said(access, running, 'echo', 'here')
  t.equal(await words(), 'here\n')
  access.close()
  await eventually(
    () => !commands().some((line) => line.includes('interlink-hub') && line.includes(running.dir))
  )
  t.equal(await words(), 'here\n', 'it has called again')
  const { port } = await home.listen()
  await close()
  const next = plugin(t, { keep: true, root, listen: `http://127.0.0.1:${port}` })
  await next.home.listen()
  t.equal(await said(next.access, running, 'echo', 'there'), 'there\n')
  await running.stop(0)
  await running.ended
  await eventually(() => callers(running).length === 0)
})

t.test('a job that speaks no protocol ends its own sessions, and harms nobody', async (t) => {
  const frame = (id: number, kind: string, body: Buffer | string, length?: number) => {
    const head = Buffer.alloc(9)
    head.writeUInt32BE(id)
    head.write(kind, 4)
    head.writeUInt32BE(length ?? body.length, 5)
    return Buffer.concat([head, Buffer.from(body)])
  }
  const inputs: Record<string, (Buffer | string)[]> = {
    'a frame without end': [frame(1, '1', '', 0xffff_ffff)],
    'more than there is room for': [...Array.from({ length: 24 }, () => frame(1, '1', Buffer.alloc(65_536)))],
    'too much room': [frame(1, 'c', Buffer.from([255, 255, 255, 255]))],
    'half of a number': [frame(1, 'c', 'ab')],
    'no exit code': [frame(1, 'e', 'NaN')],
    'a kind that is none': [frame(1, 'z', 'x')],
    'noise instead of a greeting': [],
    'noise after it': [Buffer.alloc(500_000, 0xff)]
  }
  for (const [name, bytes] of Object.entries(inputs))
    await t.test(name, async (t) => {
      const greets = bytes.length > 0
      const hostile: Errand = {
        words: async () => undefined,
        async leave({ uid }, text) {
          const is = (key: string) => new RegExp(`^${key} (.*)$`, 'm').exec(text)![1]!
          const asked = request(`http://${is('name')}${is('path')}`, {
            headers: {
              connection: 'Upgrade',
              upgrade: 'interlink-hub',
              authorization: `Bearer ${is('token')}`
            }
          }).end()
          t.ok(is('path').endsWith(uid))
          const [, socket] = (await once(asked, 'upgrade')) as [unknown, Duplex]
          // The program of the session is asked for after the greeting.
          const answer = (asked: Buffer) =>
            asked.includes('cat') && bytes.forEach((chunk) => socket.write(chunk))
          socket.on('error', () => {}).on('data', answer)
          socket.write(greets ? 'interlink-hub\n' : randomBytes(500_000))
        }
      }
      const { access } = plugin(t, { errand: hostile, timeoutMs: greets ? 60_000 : 3000 })
      const pod = { uid: 'u', dir: '/', jobId: '1' }
      const session = access.run(pod, ['cat'], never).then(async (started) => {
        // Nobody reads.
        await started.exit
      })
      await t.rejects(
        session,
        greets
          ? { code: 'PLUGIN_SESSION_LOST', message: /does not keep to the protocol/ }
          : { code: 'PLUGIN_NO_WAY' }
      )
    })
})
