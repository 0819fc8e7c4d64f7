import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { PlannedAction, PlannedProbe } from '../src/kit/plan/plan.ts'
import { listenForHealth } from './support-health.ts'
import { inEachWorld, isAlone, output, startJob, text, until } from './support-supervisor.ts'

t.jobs = 4
const everywhere = await inEachWorld(t)

const LOOP = 'while :; do sleep 0.02; done'
const POLITE = `trap 'exit 0' TERM; ${LOOP}`

const probe = (action: PlannedAction, given: Partial<PlannedProbe> = {}): PlannedProbe => ({
  action,
  initialDelaySeconds: 0,
  timeoutSeconds: 20,
  periodSeconds: 1,
  successThreshold: 1,
  failureThreshold: 1,
  ...given
})
const sh = (script: string): PlannedAction => ({ type: 'exec', command: ['/bin/sh', '-c', script] })

async function listen(t: Test, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

everywhere('readiness follows its probe both ways, with both thresholds', async (t, world) => {
  const job = await startJob(t, world, {
    containers: [
      {
        name: 'c',
        run: POLITE,
        probes: {
          readiness: probe(sh('test -e "$JOB/ready" || { echo "not yet"; exit 1; }'), {
            failureThreshold: 2,
            successThreshold: 2
          })
        }
      }
    ]
  })
  const before = await job.container('c', ({ notice }) => notice !== undefined)
  t.match(before, { state: 'running', ready: false, up: true, restarts: 0 }, world.name)
  t.match(before.notice, { reason: 'Unhealthy', message: 'Readiness probe failed: not yet' })
  await writeFile(join(job.dir, 'ready'), '')
  await job.container('c', ({ ready }) => ready)
  await rm(join(job.dir, 'ready'))
  t.match(await job.container('c', ({ ready }) => !ready), { state: 'running', restarts: 0 })
  await job.stop(5)
  await job.ended
})

everywhere(
  'liveness restarts the one container with its grace and leaves the other alone',
  async (t, world) => {
    const job = await startJob(t, world, {
      restartPolicy: 'Always',
      containers: [
        {
          name: 'sick',
          run: `trap 'echo term; exit 0' TERM; : >"$JOB/armed"; ${LOOP}`,
          probes: {
            liveness: probe(
              sh('test ! -e "$JOB/armed" || test -e "$JOB/healed" || { echo ill >&2; exit 3; }'),
              { failureThreshold: 2 }
            )
          }
        },
        { name: 'well', run: POLITE }
      ]
    })
    const sick = await job.container('sick', ({ restarts }) => restarts > 0)
    await writeFile(join(job.dir, 'healed'), '')
    t.match(sick.last, { exitCode: 0 }, world.name)
    t.match(text(await job.log('sick', 0).catch(() => 'term\n')), /term/)
    t.match((await job.state()).containers.get('well'), { state: 'running', restarts: 0 })
    await job.stop(5)
    await job.ended
  }
)

everywhere(
  'a probe that hangs is ended at its timeout with all it started, and counts as failed',
  async (t, world) => {
    const job = await startJob(t, world, {
      secondMs: 500,
      containers: [
        {
          name: 'c',
          run: POLITE,
          probes: { readiness: probe(sh('sleep 1000 & echo $! >"$JOB/probe"; wait'), { timeoutSeconds: 5 }) }
        }
      ]
    })
    const { notice } = await job.container('c', ({ notice }) => notice !== undefined)
    t.equal(notice?.message, 'Readiness probe failed: timed out after 5s', world.name)
    await job.stop(5)
    await job.ended
    const pid = (await readFile(join(job.dir, 'probe'), 'utf8')).trim()
    await until(
      () =>
        access(`/proc/${pid}`).then(
          () => false,
          () => true
        ),
      'the sleeper to be gone'
    )
  }
)

everywhere(
  'while the startup probe fails no other probe runs; when it gives up, the container is restarted',
  async (t, world) => {
    const startup = probe(sh('test -e "$JOB/up"'), { failureThreshold: 4 })
    const liveness = probe(sh('echo x >>"$JOB/liveness"'))
    const [slow, never] = await Promise.all([
      startJob(t, world, {
        containers: [
          { name: 'c', run: POLITE, probes: { startup: { ...startup, failureThreshold: 1000 }, liveness } }
        ]
      }),
      startJob(t, world, {
        restartPolicy: 'OnFailure',
        containers: [{ name: 'c', run: LOOP, probes: { startup, liveness } }]
      })
    ])
    await slow.container('c', ({ notice }) => notice !== undefined)
    t.match(await slow.container('c'), { up: false, ready: false, state: 'running' }, world.name)
    await t.rejects(access(join(slow.dir, 'liveness')))
    await writeFile(join(slow.dir, 'up'), '')
    t.match(await slow.container('c', ({ up }) => up), { ready: true })
    await until(
      () =>
        access(join(slow.dir, 'liveness')).then(
          () => true,
          () => false
        ),
      'liveness to run'
    )
    t.match((await never.container('c', ({ restarts }) => restarts > 0)).last, { exitCode: 143, signal: 15 })
    await Promise.all([slow.stop(1), never.stop(1)])
    await Promise.all([slow.ended, never.ended])
  }
)

everywhere('http, https, tcp and gRPC probes speak with real servers', async (t, world) => {
  const seen: Record<string, string | undefined>[] = []
  const web = createServer((request, response) => {
    seen.push({ url: request.url, host: request.headers.host, token: request.headers['x-token'] as string })
    response.statusCode = request.url === '/moved' ? 302 : request.url === '/bad' ? 503 : 200
    if (request.url === '/moved') response.setHeader('location', '/ok')
    response.end('x'.repeat(100_000))
  })
  const httpPort = await listen(t, web)
  const folder = await mkdtemp(join(tmpdir(), 'interlink-tls-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await output('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1'],
    ...['-subj', '/CN=other', '-keyout', join(folder, 'key'), '-out', join(folder, 'cert')]
  ])
  const httpsPort = await listen(
    t,
    createSecureServer(
      {
        key: await readFile(join(folder, 'key')),
        cert: await readFile(join(folder, 'cert')),
        // What busybox offers.
        ciphers: 'ALL:@SECLEVEL=0'
      },
      (_, response) => response.end('ok')
    )
  )
  const tcpPort = await listen(
    t,
    createTcpServer((socket) => socket.end())
  )
  const grpcPort = await listenForHealth(t)
  const free = createTcpServer()
  const closedPort = await listen(t, free)
  await new Promise((resolve) => free.close(resolve))

  const http = (path: string, port = httpPort, scheme: 'http' | 'https' = 'http'): PlannedAction => ({
    type: 'http',
    scheme,
    host: '127.0.0.1',
    port,
    path,
    headers: scheme === 'http' ? [{ name: 'X-Token', value: 'a"b\\c $(id) \'d' }] : []
  })
  const good: Record<string, PlannedAction> = {
    http: http('/ok?a=1&b=$(id)'),
    moved: http('/moved'),
    https: http('/ok', httpsPort, 'https'),
    tcp: { type: 'tcp', host: '127.0.0.1', port: tcpPort },
    ...(isAlone(world)
      ? {}
      : {
          grpc: { type: 'grpc', port: grpcPort, service: '' },
          named: { type: 'grpc', port: grpcPort, service: 'good' }
        })
  }
  const bad: Record<string, [PlannedAction, RegExp]> = {
    'http-bad': [http('/bad'), /statuscode: 503$/],
    'http-shut': [http('/', closedPort), /connection (refused|failed)/],
    'tcp-shut': [{ type: 'tcp', host: '127.0.0.1', port: closedPort }, /connection (refused|failed)/],
    ...(isAlone(world)
      ? { grpc: [{ type: 'grpc', port: grpcPort, service: '' }, /grpc probes need perl or python3/] }
      : {
          'grpc-bad': [{ type: 'grpc', port: grpcPort, service: 'bad' }, /NOT_SERVING/],
          'grpc-none': [{ type: 'grpc', port: grpcPort, service: 'unknown' }, /no such service/],
          'grpc-shut': [{ type: 'grpc', port: closedPort, service: '' }, /connection refused/]
        })
  }
  const job = await startJob(t, world, {
    secondMs: 500,
    containers: [
      ...Object.entries(good).map(([name, action]) => ({
        name,
        run: POLITE,
        probes: { readiness: probe(action) }
      })),
      ...Object.entries(bad).map(([name, [action]]) => ({
        name,
        run: POLITE,
        probes: { readiness: probe(action) }
      }))
    ]
  })
  for (const name of Object.keys(good)) await job.container(name, ({ ready }) => ready)
  for (const [name, [, words]] of Object.entries(bad)) {
    const { notice, ready } = await job.container(name, ({ notice }) => notice !== undefined)
    t.match(notice?.message, words, `${world.name}: ${name}`)
    t.equal(ready, false)
  }
  t.match(
    seen.find(({ url }) => url?.startsWith('/ok')),
    { url: '/ok?a=1&b=$(id)', host: `127.0.0.1:${httpPort}`, token: 'a"b\\c $(id) \'d' }
  )
  await job.stop(5)
  await job.ended
})

everywhere(
  'a container is running when its postStart hook is done, and dies of a failing one',
  async (t, world) => {
    const job = await startJob(t, world, {
      containers: [
        { name: 'good', run: POLITE, postStart: sh('until [ -e "$JOB/go" ]; do sleep 0.02; done') },
        { name: 'bad', run: POLITE, postStart: sh('echo broken; exit 9') }
      ]
    })
    const bad = await job.container('bad', ({ state }) => state === 'terminated')
    t.match(bad.notice, { reason: 'FailedPostStartHook', message: /broken/ }, world.name)
    t.match(await job.container('good'), { state: 'waiting', reason: 'ContainerCreating', ready: false })
    await writeFile(join(job.dir, 'go'), '')
    t.match(await job.container('good', ({ state }) => state === 'running'), { ready: true })
    await job.stop(5)
    await job.ended
  }
)

everywhere('preStop runs before the signal, in the time of the grace', async (t, world) => {
  const job = await startJob(t, world, {
    containers: [
      {
        name: 'calm',
        run: `trap 'echo term; exit 0' TERM; echo up; ${LOOP}`,
        preStop: sh('echo hook >"$JOB/order"; sleep 0.2; cat "$JOB/log/calm.0" >>"$JOB/order"')
      },
      { name: 'slow', run: `trap '' TERM; echo up; ${LOOP}`, preStop: { type: 'sleep', seconds: 1000 } },
      { name: 'wrong', run: `trap 'exit 0' TERM; echo up; ${LOOP}`, preStop: sh('echo oops; exit 1') }
    ]
  })
  for (const name of ['calm', 'slow', 'wrong'])
    await until(async () => text(await job.log(name).catch(() => '')) === 'up\n', 'up')
  await job.stop(60)
  await job.ended
  const { containers } = await job.state()
  t.equal(text(await readFile(join(job.dir, 'order'), 'utf8')), 'hook\nup\n', world.name)
  t.match(text(await job.log('calm')), /term/)
  t.match(containers.get('calm'), { exitCode: 0 })
  t.match(containers.get('slow'), { exitCode: 137, notice: { reason: 'FailedPreStopHook' } })
  t.match(containers.get('wrong'), { exitCode: 0, notice: { reason: 'FailedPreStopHook', message: /oops/ } })
})
