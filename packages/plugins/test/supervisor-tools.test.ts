import { execFile } from 'node:child_process'
import { access, chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import type { PlannedAction, PlannedProbe } from '../src/kit/plan/plan.ts'
import { listenForHealth } from './support-health.ts'
import {
  bareWorld,
  inAll,
  output,
  runJob,
  startJob,
  text,
  until,
  worlds,
  type World
} from './support-supervisor.ts'

t.jobs = 4

const LOOP = 'while :; do sleep 0.05; done'
const POLITE = `trap 'exit 0' TERM; ${LOOP}`
const sh = (script: string): PlannedAction => ({ type: 'exec', command: ['/bin/sh', '-c', script] })
const probe = (action: PlannedAction): PlannedProbe => ({
  action,
  initialDelaySeconds: 0,
  timeoutSeconds: 50,
  periodSeconds: 5,
  successThreshold: 1,
  failureThreshold: 1
})

const python = (await output('python3', ['-c', 'import sys; print(sys.executable)'])).trim()

/** A program that notes that it was called, then is the real one. */
async function noting(t: Test, name: string): Promise<{ path: string; used: () => Promise<boolean> }> {
  const folder = await mkdtemp(join(tmpdir(), 'interlink-noting-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, name)
  const real = name === 'python3' ? python : name === 'nc' ? '/usr/bin/busybox nc' : `/usr/bin/${name}`
  // Where only the tool itself is asked for, python3 is called to see whether it works: its -c 1 does not count.
  await writeFile(
    path,
    `#!/bin/dash\n[ "$2" = 1 ] || [ "$2" = "" ] || : >'${folder}/used'\nexec ${real} "$@"\n`
  )
  await chmod(path, 0o755)
  return {
    path,
    used: () =>
      access(join(folder, 'used')).then(
        () => true,
        () => false
      )
  }
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

const folder = await mkdtemp(join(tmpdir(), 'interlink-tls-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))
await promisify(execFile)('openssl', [
  ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=other'],
  ...['-keyout', join(folder, 'key'), '-out', join(folder, 'cert')]
])
const tokens = new Set<unknown>()
const httpPort = await listen(
  createServer((request, response) => {
    tokens.add(request.headers['x-token'])
    response.statusCode = request.url === '/bad' ? 503 : 200
    response.end('x'.repeat(100_000))
  })
)
const httpsPort = await listen(
  createSecureServer(
    { key: await readFile(join(folder, 'key')), cert: await readFile(join(folder, 'cert')) },
    (request, response) => {
      response.statusCode = request.headers['x-token'] === 'a"b\\c' ? 200 : 401
      response.end()
    }
  )
)
const tcpPort = await listen(createTcpServer((socket) => socket.end()))
const grpcPort = await listenForHealth(t)
const free = createTcpServer()
const closedPort = await listen(free)
await new Promise((resolve) => free.close(resolve))

const headers = [{ name: 'X-Token', value: 'a"b\\c' }]
const http = (path: string, port = httpPort, given = headers): PlannedAction => ({
  type: 'http',
  scheme: port === httpsPort ? 'https' : 'http',
  host: '127.0.0.1',
  port,
  path,
  headers: given
})
const questions = {
  http: http('/ok'),
  plain: http('/ok', httpPort, []),
  bad: http('/bad'),
  'bad-plain': http('/bad', httpPort, []),
  shut: http('/', closedPort),
  https: http('/ok', httpsPort),
  refused: http('/ok', httpsPort, [{ name: 'X-Token', value: 'wrong' }]),
  tcp: { type: 'tcp', host: '127.0.0.1', port: tcpPort },
  'tcp-shut': { type: 'tcp', host: '127.0.0.1', port: closedPort },
  grpc: { type: 'grpc', port: grpcPort, service: 'good' },
  'grpc-bad': { type: 'grpc', port: grpcPort, service: 'bad' }
} satisfies Record<string, PlannedAction>

type Answers = Partial<Record<keyof typeof questions, RegExp | 'ready'>>

/** What each tool answers when it is the only one: ready, or why not. */
const answers: Record<string, Answers> = {
  python3: {
    http: 'ready',
    bad: /statuscode: 503$/,
    shut: /connection refused/,
    https: 'ready',
    refused: /statuscode: 401$/,
    tcp: 'ready',
    'tcp-shut': /connection refused/,
    grpc: 'ready',
    'grpc-bad': /NOT_SERVING/
  },
  curl: {
    http: 'ready',
    bad: /statuscode: 503$/,
    shut: /curl: .*connect/i,
    https: 'ready',
    refused: /statuscode: 401$/,
    tcp: /tcp probes need perl, python3, nc or bash on the machine/,
    grpc: /grpc probes need perl or python3 on the machine/
  },
  wget: {
    plain: 'ready',
    'bad-plain': /failed/,
    http: /http probes with headers need perl, nc, bash, curl or python3 on the machine/,
    https: /https probes with headers need curl or python3 on the machine/
  },
  nc: {
    http: 'ready',
    bad: /statuscode: 503$/,
    shut: /connection failed/,
    https: /https probes with headers need curl or python3 on the machine/,
    tcp: 'ready',
    'tcp-shut': /connection failed/,
    grpc: /grpc probes need perl or python3/
  },
  bash: {
    http: 'ready',
    bad: /statuscode: 503$/,
    shut: /connection refused/i,
    tcp: 'ready',
    'tcp-shut': /connection refused/i,
    grpc: /grpc probes need perl or python3/
  }
}

for (const [tool, expected] of Object.entries(answers)) {
  void t.test(`probes through ${tool}, where there is nothing else`, { buffered: true }, async (t) => {
    const { path, used } = await noting(t, tool)
    const world = await bareWorld(t, { [tool]: path })
    const job = await startJob(t, world, {
      secondMs: 400,
      containers: Object.keys(expected).map((name) => ({
        name,
        run: POLITE,
        probes: { readiness: probe(questions[name as keyof typeof questions]) }
      }))
    })
    for (const [name, answer] of Object.entries(expected)) {
      const { ready, notice } = await job.container(
        name,
        (record) => record.ready || record.notice !== undefined
      )
      t.equal(ready, answer === 'ready', `${tool}: ${name}: ${notice?.message ?? ''}`)
      if (answer !== 'ready') t.match(notice?.message, answer)
    }
    t.ok(await used(), `${tool} was really called`)
    await job.stop(0)
    await job.ended
  })
}

void t.test('with nothing at all, a probe says what to install', { buffered: true }, async (t) => {
  const needs: Record<string, [PlannedAction, string]> = {
    http: [questions.plain, 'http probes need perl, python3, nc, bash, curl or wget'],
    https: [http('/ok', httpsPort, []), 'https probes need curl, python3 or wget'],
    tcp: [questions.tcp, 'tcp probes need perl, python3, nc or bash'],
    grpc: [questions.grpc, 'grpc probes need perl or python3']
  }
  const job = await startJob(t, await bareWorld(t), {
    containers: Object.entries(needs).map(([name, [action]]) => ({
      name,
      run: POLITE,
      probes: { readiness: probe(action) }
    }))
  })
  for (const [name, [, words]] of Object.entries(needs)) {
    const { notice } = await job.container(name, ({ notice }) => notice !== undefined)
    t.equal(
      notice?.message,
      `Readiness probe failed: ${words} on the machine where the job runs; install one of them or use an exec probe`
    )
  }
  await job.stop(0)
  await job.ended
})

/** What every world must do, wherever the job directory lies. */
async function wholeLife(t: Test, world: World, dirPrefix: string): Promise<void> {
  const job = await startJob(t, world, {
    dirPrefix,
    restartPolicy: 'OnFailure',
    containers: [
      { name: 'init', kind: 'init', run: 'echo x >>"$JOB/n"; [ "$(wc -l <"$JOB/n")" -ge 2 ]' },
      { name: 'side', kind: 'sidecar', run: POLITE, probes: { startup: probe(sh('test -e "$JOB/n"')) } },
      {
        name: 'main',
        run: `trap 'echo term >&2; printf bye >"$JOB/message/main"; exit 3' TERM; echo "in $JOB"; ${LOOP}`,
        env: [{ name: 'A', value: '$B `c`' }],
        postStart: sh('printf %s "$A" >"$JOB/a"'),
        preStop: sh('[ "$A" = "$(cat "$JOB/a")" ] && echo stopped >"$JOB/b"'),
        probes: { readiness: probe(sh('grep -q "in" "$JOB/log/main.0"')) }
      },
      { name: 'crash', run: 'kill -SEGV $$', limits: { memoryBytes: 2 ** 30 } },
      { name: 'absent', run: ['/no/such/program'] }
    ]
  })
  await job.container('main', ({ ready }) => ready)
  for (const name of ['crash', 'absent'])
    await job.container(name, ({ restarts, state }) => restarts >= 1 && state === 'waiting')
  t.match((await job.state()).containers.get('init'), { restarts: 1, exitCode: 0, ready: true }, world.name)
  const second = await runJob(t, world, job.dir, job.uid)
  t.equal(await second.ended, 3, `${world.name}: a second start finds the first`)
  await job.stop(100)
  t.equal(await job.ended, 1)
  const { containers } = await job.state()
  t.match(containers.get('main'), { state: 'terminated', exitCode: 3, message: 'bye' }, world.name)
  t.match(containers.get('side'), { exitCode: 0, restarts: 0 })
  t.match(containers.get('crash'), { exitCode: 139, signal: 11 })
  t.match(containers.get('absent'), { exitCode: 127, reason: 'StartError', message: /no such file/ })
  t.equal(await readFile(join(job.dir, 'b'), 'utf8'), 'stopped\n')
  t.match(await job.log('main'), /^\S+Z stderr F term$/m)
  await t.rejects(access(join(job.dir, 'run')), 'what was needed while it ran is gone')
}

void t.test(
  'a whole life on a path with blanks, quotes, dollars and newlines',
  { buffered: true },
  async (t) => {
    const bash = { name: 'bash --posix', sh: 'bash --posix', path: process.env.PATH ?? '' }
    const odd = await mkdtemp(join(tmpdir(), "interlink 'it\"s' $(id) `id` \n -x *\\n"))
    t.teardown(() => rm(odd, { recursive: true, force: true }))
    await inAll([...(await worlds(t)), bash], (world) => wholeLife(t, world, join(odd, 'job ')))
  }
)

void t.test(
  'a whole life on machines without perl, with and without python3',
  { buffered: true },
  async (t) => {
    const gnu = { env: '/usr/bin/env' }
    const [snake, shell] = [await bareWorld(t, { ...gnu, python3: python }), await bareWorld(t, gnu)]
    await inAll([snake, shell], (world) => wholeLife(t, world, join(tmpdir(), 'interlink-job-')))
    for (const world of [snake, shell]) {
      const odd = world === snake ? [{ name: 'a.b-c', value: "it's" }] : []
      const job = await startJob(t, world, {
        containers: [
          { name: 'int', run: 'kill -INT $$; echo survived' },
          { name: 'env', env: odd, run: ['/usr/bin/env'] },
          { name: 'closed', run: ['/etc/passwd'] },
          { name: 'absent', run: ['no-such-program'] },
          { name: 'moved', run: 'true', cwd: '/no/such' },
          { name: 'long', run: ['/usr/bin/perl', '-e', 'print "a" x 9000, "\\nend\\n"'] }
        ]
      })
      await job.ended
      const { containers } = await job.state()
      t.match(containers.get('int'), { exitCode: 130, signal: 2 }, world.name)
      if (world === snake) t.match(text(await job.log('env')), /^a\.b-c=it's$/m)
      t.match(containers.get('closed'), { exitCode: 126, message: /permission denied$/ }, world.name)
      t.match(containers.get('absent'), { exitCode: 127, message: /executable file not found in \$PATH$/ })
      t.match(containers.get('moved'), { exitCode: 126, message: /^chdir to "\/no\/such" failed/ })
      t.equal(text(await job.log('long')), `${'a'.repeat(9000)}\nend\n`)
    }
  }
)

void t.test('the log through mawk, where that is awk', { buffered: true }, async (t) => {
  const mawk = await access('/usr/bin/mawk').then(
    () => true,
    () => false
  )
  if (!mawk) return t.pass('there is no mawk')
  const world = await bareWorld(t, { awk: '/usr/bin/mawk' })
  const job = await startJob(t, world, {
    containers: [{ name: 'c', run: 'echo now; until [ -e "$JOB/go" ]; do sleep 0.05; done; seq 1 5000' }]
  })
  // Not kept back until a buffer is full.
  await until(async () => text(await job.log('c').catch(() => '')) === 'now\n', 'the first line')
  await writeFile(join(job.dir, 'go'), '')
  t.equal(await job.ended, 0)
  t.match(await job.log('c'), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F now\n/)
  t.equal(
    text(await job.log('c')),
    `now\n${Array.from({ length: 5000 }, (_, index) => `${index + 1}\n`).join('')}`
  )
})
