import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { localTransport } from '../src/kit/transport/local.ts'
import { TransportError } from '../src/kit/transport/transport.ts'
import { eventually } from '../../../test/support/eventually.ts'

const timeoutMs = 60_000
const loader = new URL('../../../scripts/lib/typescript.mjs', import.meta.url).href
const hostile = [
  '',
  ' a  b ',
  '-n',
  '+',
  '.',
  '$(touch x)',
  '`id`',
  '\\n\\',
  '\'"',
  'a\nb\n',
  '\n.\n',
  'ü\u0007',
  '*'
]

t.test('words reach a command as they are, be they hostile or of several lines', async (t) => {
  const transport = localTransport({ MARK: 'yes' })
  t.teardown(() => transport.close())
  const argv = [
    process.execPath,
    '-e',
    'console.log(JSON.stringify([process.argv.slice(1), process.env.MARK]))'
  ]
  const { code, stdout } = await transport.run([...argv, '--', ...hostile], { timeoutMs })
  t.equal(code, 0)
  t.same(JSON.parse(stdout.toString()), [hostile, 'yes'])
})

t.test('a command reads its input, and its output, errors and exit code are its own', async (t) => {
  const transport = localTransport({})
  t.teardown(() => transport.close())
  const input = 'x'.repeat(300_000)
  const echo = (code: number) =>
    transport.run(['sh', '-c', 'cat; echo "$0" >&2; exit "$0"', String(code)], {
      timeoutMs,
      input: input + code
    })
  const codes = Array.from({ length: 20 }, (_, index) => index)
  const all = await Promise.all(codes.map(echo))
  t.same(
    all.map(({ code, stdout, stderr }) => [code, stdout.toString() === input + code, stderr]),
    codes.map((code) => [code, true, `${code}\n`])
  )
  const { stdout } = await transport.run(['cat'], { timeoutMs })
  t.equal(stdout.length, 0)
})

t.test('a command that is not there is named with the way out', async (t) => {
  const transport = localTransport({})
  t.teardown(() => transport.close())
  await t.rejects(transport.run(['sbatch-nowhere'], { timeoutMs }), {
    message: 'sbatch-nowhere is not there; install it, or name its directory in options.bin'
  })
})

t.test('a command that takes too long is killed with all below it, and others go on', async (t) => {
  const transport = localTransport({})
  const dir = mkdtempSync(join(tmpdir(), 'runner-'))
  t.teardown(async () => {
    await transport.close()
    rmSync(dir, { recursive: true })
  })
  const pid = join(dir, 'pid')
  const slow = transport.run(['sh', '-c', 'sh -c "echo \\$\\$ >$0; sleep 1000; true"; true', pid], {
    timeoutMs: 3000
  })
  const other = transport.run(['echo', 'here'], { timeoutMs })
  t.equal((await other).stdout.toString(), 'here\n')
  await t.rejects(slow, new TransportError('sh did not end within 3 s'))
  const child = readFileSync(pid, 'utf8').trim()
  await eventually(() => !existsSync(`/proc/${child}`))
  t.equal((await transport.run(['echo', 'again'], { timeoutMs })).stdout.toString(), 'again\n')
})

t.test('what has begun goes on where the plugin dies, and nothing is left behind', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'runner-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const program = join(dir, 'dies.ts')
  const local = new URL('../src/kit/transport/local.ts', import.meta.url)
  writeFileSync(
    program,
    `import { localTransport } from ${JSON.stringify(local.pathname)}
     import { existsSync } from 'node:fs'
     void localTransport({}).run(['sh', '-c', 'touch began; until [ -e dead ]; do sleep 0.05; done; echo whole >ended'
       .replace(/began|dead|ended/g, (name) => '${dir}/' + name)], { timeoutMs: 60_000 })
     setInterval(() => existsSync('${dir}/began') && process.kill(process.pid, 'SIGKILL'), 20)`
  )
  const { signal } = spawnSync(
    process.execPath,
    ['--import', loader, '--conditions=interlink-ts-source', program],
    {
      env: { ...process.env, TMPDIR: dir }
    }
  )
  t.equal(signal, 'SIGKILL')
  writeFileSync(join(dir, 'dead'), '')
  await eventually(
    () => existsSync(join(dir, 'ended')) && readFileSync(join(dir, 'ended'), 'utf8') === 'whole\n'
  )
  const left = () => spawnSync('ls', [dir], { encoding: 'utf8' }).stdout.includes('interlink-run-')
  await eventually(() => !left())
})

t.test('half a command is not run', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'runner-'))
  const shell = new URL('../assets/runner.sh', import.meta.url).pathname
  const touched = join(tmpdir(), `runner-touched-${process.pid}`)
  for (const sh of ['dash', 'bash', 'busybox'])
    for (const cut of [
      `0\n-/dev/null\n-touch\n-${touched}\n`,
      `0\n-/dev/null\n-touch\n-${touched}\n-x`,
      '0\n'
    ]) {
      const { stdout } = spawnSync(sh, [...(sh === 'busybox' ? ['sh'] : []), shell, dir], {
        input: cut,
        encoding: 'utf8'
      })
      t.equal(stdout, '')
      t.notOk(existsSync(touched))
    }
  t.notOk(existsSync(dir), 'its directory is gone')
})
