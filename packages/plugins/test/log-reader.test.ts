import { appendFile, mkdir, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { openLog, type LogOptions } from '../src/kit/jobs/log-reader.ts'

const stamp = (seconds: number) =>
  new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString().replace('Z', '000000Z')
const record = (seconds: number, text: string, tag = 'F', stream = 'stdout') =>
  `${stamp(seconds)} ${stream} ${tag} ${text}\n`

async function job(
  t: Test,
  logs: Record<string, string> = {},
  states: Record<string, string> = {}
): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'interlink-log-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  await mkdir(join(dir, 'log'))
  await mkdir(join(dir, 'state'))
  for (const [name, text] of Object.entries(logs)) await writeFile(join(dir, 'log', name), text)
  for (const [name, text] of Object.entries(states)) await writeFile(join(dir, 'state', name), text)
  return dir
}

async function read(dir: string, options: Partial<LogOptions> = {}): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of await openLog({
    dir,
    container: 'c',
    pod: 'p',
    isRunning: () => false,
    ...options
  }))
    chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

async function until(done: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 90_000
  while (!(await done())) {
    if (Date.now() > deadline) throw new Error(`not within 90 s: ${what}`)
    await delay(10)
  }
}

const openFiles = async (dir: string): Promise<number> => {
  const { readlink } = await import('node:fs/promises')
  const links = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''))
  )
  return links.filter((link) => link.startsWith(dir)).length
}

t.test('what is written after a log was opened is new, however late it is read', async (t) => {
  const dir = await job(t, { 'c.0': record(0, 'before') })
  const options = { dir, container: 'c', tailLines: 0, isRunning: () => false }
  const log = await openLog(options)
  await appendFile(join(dir, 'log/c.0'), record(1, 'after'))
  t.equal(Buffer.concat(await log.toArray()).toString(), 'after\n')
})

t.test('lines of both streams come in order, parts joined, with the time of their first part', async (t) => {
  const dir = await job(t, {
    'c.0':
      record(0, 'one') +
      record(1, 'two', 'F', 'stderr') +
      record(2, 'long ', 'P') +
      record(3, 'line') +
      record(4, '') +
      record(5, 'open', 'P')
  })
  t.equal(await read(dir), 'one\ntwo\nlong line\n\nopen')
  t.equal(
    await read(dir, { timestamps: true }),
    `${stamp(0)} one\n${stamp(1)} two\n${stamp(2)} long line\n${stamp(4)} \n${stamp(5)} open`
  )
})

t.test('tail counts lines, not records, whatever the blocks of the file', async (t) => {
  let text = ''
  const lines: string[] = []
  for (let i = 0; i < 3000; i++) {
    const line = `${i} ${'x'.repeat((i * 37) % 200)}`
    lines.push(line)
    text += i % 7 === 0 ? record(i, line.slice(0, 2), 'P') + record(i, line.slice(2)) : record(i, line)
  }
  const dir = await job(t, { 'c.0': text })
  for (const count of [0, 1, 2, 6, 7, 8, 500, 2999, 3000, 9999]) {
    const wanted = count === 0 ? [] : lines.slice(-count)
    t.equal(
      await read(dir, { tailLines: count }),
      wanted.map((line) => `${line}\n`).join(''),
      `tail ${count}`
    )
  }
  await appendFile(join(dir, 'log', 'c.0'), record(3000, 'unfinished', 'P'))
  t.equal(await read(dir, { tailLines: 1 }), 'unfinished')
  t.equal(await read(dir, { tailLines: 2 }), `${lines.at(-1)}\nunfinished`)
})

t.test('sinceTime finds its place by halving and filters exactly', async (t) => {
  const text = Array.from({ length: 20_000 }, (_, i) => record(i, `line ${i}`)).join('')
  const dir = await job(t, { 'c.0': text })
  const at = (seconds: number) => Date.UTC(2026, 0, 1) + seconds * 1000
  for (const from of [0, 1, 4711, 10_000, 19_999]) {
    const lines = (await read(dir, { sinceTime: at(from) })).split('\n')
    t.equal(lines[0], `line ${from}`)
    t.equal(lines.length, 20_000 - from + 1)
  }
  t.equal(await read(dir, { sinceTime: at(20_000) }), '')
  t.equal(await read(dir, { sinceTime: at(10), tailLines: 1 }), 'line 19999\n')
})

t.test('limitBytes cuts the output at the byte, times included', async (t) => {
  const dir = await job(t, { 'c.0': record(0, 'äöü') + record(1, 'second') })
  t.equal(await read(dir, { limitBytes: 9 }), 'äöü\nse')
  t.equal(
    await read(dir, { limitBytes: 34, timestamps: true }),
    `${stamp(0)} äö`.slice(0, 31) + 'ä' + '\ufffd'
  )
  t.equal(await read(dir, { limitBytes: 1_000_000 }), 'äöü\nsecond\n')
})

t.test('bytes that are no text and lines that are no records do no harm', async (t) => {
  const dir = await job(t)
  const bytes = Buffer.concat([
    Buffer.from('garbage\n\n2026 x\n'),
    Buffer.from(`${stamp(0)} stdout F `),
    Buffer.from([0, 255, 254, 10]),
    Buffer.from(record(1, 'after')),
    Buffer.from(`${stamp(2)} stdout F torn`)
  ])
  await writeFile(join(dir, 'log', 'c.0'), bytes)
  const chunks: Buffer[] = []
  for await (const chunk of await openLog({ dir, container: 'c', isRunning: () => false }))
    chunks.push(chunk as Buffer)
  t.same(Buffer.concat(chunks), Buffer.concat([Buffer.from([0, 255, 254, 10]), Buffer.from('after\n')]))
})

t.test(
  'previous is the attempt before, or while waiting the one that has ended; else an error as a kubelet words it',
  async (t) => {
    const logs = { 'c.1': record(0, 'attempt 1'), 'c.2': record(1, 'attempt 2') }
    const running = await job(t, logs, { 'c.c': 'state=running\nrestarts=2\nlast.exit=1\n' })
    t.equal(await read(running, { previous: true }), 'attempt 1\n')
    t.equal(await read(running), 'attempt 2\n')
    const waiting = await job(t, logs, {
      'c.c': 'state=waiting\nreason=CrashLoopBackOff\nrestarts=2\nlast.exit=1\n'
    })
    t.equal(await read(waiting, { previous: true }), 'attempt 2\n')
    const first = await job(t, { 'c.0': record(0, 'x') }, { 'c.c': 'state=running\nrestarts=0\n' })
    await t.rejects(read(first, { previous: true }), {
      code: 'PLUGIN_NO_PREVIOUS_LOG',
      message: 'previous terminated container "c" in pod "p" not found'
    })
  }
)

t.test('a container that has not started has no log yet, and says why', async (t) => {
  const dir = await job(t, {}, { 'c.c': 'state=waiting\nreason=PodInitializing\nrestarts=0\n' })
  await t.rejects(read(dir, { isRunning: () => true }), {
    code: 'PLUGIN_NOT_STARTED',
    message: 'container "c" in pod "p" is waiting to start: PodInitializing'
  })
  t.equal(await read(dir), '', 'one that will never start has an empty one')
})

t.test('follow begins before the first byte, goes over a restart and ends with the container', async (t) => {
  const dir = await job(t)
  let running = true
  let seen = ''
  const stream = await openLog({ dir, container: 'c', follow: true, isRunning: () => running })
  stream.on('data', (chunk: Buffer) => (seen += chunk.toString()))
  const ended = new Promise((resolve) => stream.once('end', resolve))
  const log = (attempt: number, text: string) => appendFile(join(dir, 'log', `c.${attempt}`), text)
  await log(0, record(0, 'first'))
  await until(() => seen === 'first\n', 'the first line')
  const torn = record(1, 'second')
  await log(0, torn.slice(0, 40))
  await log(0, torn.slice(40))
  await until(() => seen === 'first\nsecond\n', 'the line in two writes')
  await log(1, record(2, 'again'))
  await until(() => seen.endsWith('again\n'), 'the restart')
  await log(1, record(3, 'last'))
  running = false
  await ended
  t.equal(seen, 'first\nsecond\nagain\nlast\n')
  t.equal(await openFiles(dir), 0)
})

t.test('a client that goes away frees the file, before and after the first byte', async (t) => {
  for (const text of ['', record(0, 'x')]) {
    const dir = await job(t, text ? { 'c.0': text } : {})
    const client = new AbortController()
    const stream = await openLog({
      dir,
      container: 'c',
      follow: true,
      signal: client.signal,
      isRunning: () => true
    })
    const closed = new Promise((resolve) => stream.once('close', resolve))
    stream.on('data', () => {})
    if (text) await until(async () => (await openFiles(dir)) === 1, 'the file to be open')
    client.abort()
    await closed
    await until(async () => (await openFiles(dir)) === 0, 'the file to be closed')
  }
  t.pass()
})

t.test('a log of 100 MB is read in bounded memory, and its tail without reading it', async (t) => {
  const dir = await job(t)
  const path = join(dir, 'log', 'c.0')
  const file = await open(path, 'w')
  const block = Buffer.from(record(0, 'y'.repeat(1000)).repeat(1000))
  const rounds = Math.ceil(100_000_000 / block.length)
  for (let i = 0; i < rounds; i++) await file.write(block)
  await file.write(record(1, 'the end'))
  await file.close()

  t.equal(await read(dir, { tailLines: 1 }), 'the end\n')

  const before = process.memoryUsage().rss
  let peak = 0
  let total = 0
  for await (const chunk of await openLog({ dir, container: 'c', isRunning: () => false })) {
    total += (chunk as Buffer).length
    peak = Math.max(peak, process.memoryUsage().rss - before)
  }
  t.equal(total, rounds * 1000 * 1001 + 'the end\n'.length)
  t.ok(peak < 64 * 1024 * 1024, `grew by ${Math.round(peak / 1024 / 1024)} MiB`)

  const slow = await openLog({ dir, container: 'c', isRunning: () => false })
  slow.read()
  await delay(50)
  t.ok(slow.readableLength < 1024 * 1024, 'nothing piles up for a reader that does not read')
  slow.destroy()
  await until(async () => (await openFiles(dir)) === 0, 'the file to be closed')
})
