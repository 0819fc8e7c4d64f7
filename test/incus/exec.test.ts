import t from 'tap'
import { createHash } from 'node:crypto'
import { buffer, text } from 'node:stream/consumers'
import { incusMissing, startIncusLab } from '@interlink-ts/dev-cluster/incus'
import { exec } from '../../packages/plugins/src/incus/rest/exec.ts'
import { IncusConnection } from '../../packages/plugins/src/incus/rest/incus-connection.ts'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'

void t.test('programs of a running instance', async (t) => {
  if (!requireReal(t, incusMissing())) return
  const lab = await startIncusLab()
  t.teardown(() => lab.close())
  const incus = new IncusConnection({ url: `unix://${lab.socket}` })
  t.teardown(() => incus.close())
  await incus.change('POST', '/1.0/instances', {
    json: { name: 'c', type: 'container', source: { type: 'image', alias: 'busybox' }, start: true }
  })
  const sh = (script: string, more = {}) => exec(incus, 'c', { command: ['sh', '-c', script], ...more })
  const processes = async (word: string) => {
    const session = await sh('cat /proc/[0-9]*/cmdline | tr "\\0" " "')
    return (await text(session.stdout)).includes(word)
  }

  t.test('standard output and standard error apart, the exit code, arguments as they are', async (t) => {
    const hostile = 'a "b" $(id) `id` \n\t\\ \u{1F600}'
    const session = await exec(incus, 'c', {
      command: ['sh', '-c', 'printf "%s" "$1"; printf "%s" "$X" >&2; exit 7', 'sh', hostile],
      environment: { X: hostile }
    })
    session.stdin.end()
    const [out, err] = await Promise.all([text(session.stdout), text(session.stderr)])
    t.same([out, err, await session.exited], [hostile, hostile, 7])
  })

  t.test('streams that cannot be had are an error of the call, and end nobody who reads none', async (t) => {
    const broken = new IncusConnection({ url: `unix://${lab.socket}` })
    t.teardown(() => broken.close())
    const open = broken.webSocket.bind(broken)
    broken.webSocket = (path, all) => open(path.includes('/operations/') ? '/1.0/none' : path, all)
    await t.rejects(exec(broken, 'c', { command: ['true'] }), { name: 'IncusUnreachable' })
    await new Promise((resolve) => setTimeout(resolve, 200))
    t.equal(await (await sh('exit 3')).exited, 3)
  })

  t.test('four megabytes go in and come out, to the last byte', async (t) => {
    const bytes = Buffer.alloc(4 * 1024 * 1024, 'abcdefghij\0\xff', 'latin1')
    const session = await sh('cat')
    session.stdin.end(bytes)
    const got = await buffer(session.stdout)
    const hash = (data: Buffer) => createHash('sha256').update(data).digest('hex')
    t.equal(hash(got), hash(bytes))
    t.equal(await session.exited, 0)
  })

  t.test('a terminal has its size, and another when it is told', async (t) => {
    const session = await sh('stty size; read -r line; stty size; echo "$line"', {
      terminal: { width: 91, height: 17 }
    })
    let seen = ''
    session.stdout.on('data', (data: Buffer) => (seen += data.toString()))
    await eventually(() => seen.includes('17 91'))
    session.resize(120, 40)
    await eventually(async () => {
      const size = await sh('for t in /dev/pts/[0-9]*; do stty size <"$t"; done')
      return (await text(size.stdout)).includes('40 120')
    })
    session.stdin.write('gone on\r')
    t.equal(await session.exited, 0)
    await eventually(() => /40 120[^]*gone on/.test(seen))
  })

  t.test('a signal, a caller who goes, a program that is not there', async (t) => {
    const killed = await sh('exec sleep 600')
    killed.signal(15)
    t.equal(await killed.exited, 143)

    const left = await sh('exec sleep 7654')
    await eventually(() => processes('sleep 7654'))
    left.close()
    await eventually(async () => !(await processes('sleep 7654')))

    const missing = await exec(incus, 'c', { command: ['no-such-program'] })
    await t.rejects(missing.exited, { name: 'IncusError', message: /not found/i })
    await t.rejects(exec(incus, 'none', { command: ['true'] }), { name: 'IncusError', status: 404 })
  })

  t.test('who does not read holds the program up, and loses nothing', async (t) => {
    const session = await sh(
      'i=0; while [ $i -lt 300000 ]; do echo "line $i of what is a longer text"; i=$((i+1)); done'
    )
    await new Promise((resolve) => setTimeout(resolve, 1000))
    t.ok(session.stdout.readableLength < 2 * 1024 * 1024)
    const lines = (await text(session.stdout)).trim().split('\n')
    t.equal(lines.length, 300_000)
    t.equal(lines.at(-1), 'line 299999 of what is a longer text')
    t.equal(await session.exited, 0)
  })
})
