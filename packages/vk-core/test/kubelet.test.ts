import t, { type Test } from 'tap'
import { PassThrough, Readable } from 'node:stream'
import { once } from 'node:events'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { request } from 'node:https'
import fastify from 'fastify'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import type { KubeClient } from '@interlink-ts/vk-core/kube'
import { createKubeletServer } from '@interlink-ts/vk-core/kubelet'
import { createMetrics } from '@interlink-ts/interlink-api/telemetry'
import { createAuthenticator } from '../src/kubelet/authentication.ts'
import { createAuthorizer } from '../src/kubelet/authorization.ts'
import { createSelfSigned } from '../src/kubelet/key-request.ts'
import type { KubeletPods } from '../src/kubelet/pods-of.ts'
import type { LogQuery } from '../src/pods/types.ts'

interface Review {
  readonly kind: string
  readonly spec: {
    readonly token?: string
    readonly user?: string
    readonly resourceAttributes?: {
      readonly subresource: string
      readonly verb: string
      readonly name?: string
    }
  }
}

/** Answers reviews as an API server with these rights would, and remembers them. */
function reviewer(rights: Readonly<Record<string, readonly string[]>>) {
  const asked: Review[] = []
  let broken = false
  const kube = {
    create: async (_path: string, body: unknown) => {
      const review = body as Review
      asked.push(review)
      if (broken) throw new Error('connection refused')
      if (review.kind === 'TokenReview') {
        const username = review.spec.token!
        return {
          status: username in rights ? { authenticated: true, user: { username, groups: ['g'] } } : {}
        }
      }
      const { user = '', resourceAttributes } = review.spec
      return { status: { allowed: rights[user]?.includes(resourceAttributes!.subresource) ?? false } }
    }
  } as unknown as Pick<KubeClient, 'create'>
  return { kube, asked, fail: () => (broken = true) }
}

const pod = (name: string, status: object, node = 'a'): Pod =>
  ({
    metadata: { name, namespace: 'ns', uid: `uid-${name}` },
    spec: {
      nodeName: node,
      initContainers: [{ name: 'setup', image: 'i' }],
      containers: [
        {
          name: 'main',
          image: 'i',
          env: [{ name: 'P', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }]
        }
      ]
    },
    status: { phase: 'Running', ...status }
  }) as Pod

const startedAt = '2026-11-21T07:00:00Z'
const running = {
  containerStatuses: [{ name: 'main', ready: true, restartCount: 0, state: { running: { startedAt } } }]
}
const waiting = {
  phase: 'Pending',
  containerStatuses: [{ name: 'main', restartCount: 0, state: { waiting: { reason: 'Priority' } } }]
}

async function serve(
  t: Test,
  nodeNames: readonly string[] = ['a'],
  { authority, requestTimeoutMs }: { authority?: string; requestTimeoutMs?: number } = {}
) {
  const list = [pod('runs', running), pod('waits', waiting), pod('elsewhere', running, 'b')]
  const queries: LogQuery[] = []
  const log: { open: (signal: AbortSignal) => Promise<Readable> } = {
    open: async () => Readable.from(['one\n', 'two\n'])
  }
  const pods: KubeletPods = {
    list: () => list,
    get: (namespace, name) =>
      list.find((one) => one.metadata.namespace === namespace && one.metadata.name === name),
    logs: (_pod, _container, query, signal) => {
      queries.push(query)
      return log.open(signal)
    },
    stream: async () => Promise.reject(new Error('no stream')),
    usage: async () => [],
    measures: () => false,
    backendOf: () => ({ backend: 'plain', capabilities: new Set(), hasAnswered: true })
  }
  const review = reviewer({
    root: ['proxy', 'metrics', 'stats', 'log'],
    scraper: ['metrics', 'stats'],
    lister: ['pods', 'healthz'],
    nobody: []
  })
  const current = await createSelfSigned({ nodeName: 'a', hosts: ['127.0.0.1', 'a'] })
  const server = createKubeletServer({
    pods,
    nodeNames,
    kube: review.kube,
    clientCa: { pem: authority },
    certificate: { current, onChange: () => undefined, close: () => undefined },
    metrics: createMetrics('test'),
    log: fastify().log,
    ...(requestTimeoutMs ? { requestTimeoutMs } : {})
  })
  t.teardown(() => server.close())
  const get = async (url: string, token?: string) => {
    const answer = await server.app.inject({
      url,
      headers: token ? { authorization: `Bearer ${token}` } : {}
    })
    return {
      status: answer.statusCode,
      text: answer.body,
      json: () => answer.json() as Record<string, unknown>
    }
  }
  return { server, get, queries, log, ...review }
}

t.test('nobody unknown is served, whatever they ask for', async (t) => {
  const { get } = await serve(t)
  for (const path of ['/healthz', '/pods', '/metrics', '/containerLogs/ns/runs/main', '/no/such/thing'])
    for (const token of [undefined, 'stranger']) {
      const answer = await get(path, token)
      t.equal(answer.status, 401, path)
      if (!path.startsWith('/containerLogs'))
        t.match(answer.json(), { kind: 'Status', apiVersion: 'v1', reason: 'Unauthorized', code: 401 })
    }
})

t.test(
  'over TLS, a certificate or token of one’s own making is nobody, and what is no request ends nothing',
  async (t) => {
    const authority = await createSelfSigned({ nodeName: 'authority', hosts: ['authority'] })
    const { server } = await serve(t, ['a'], { authority: authority.cert })
    const port = await server.listen('127.0.0.1', 0)
    const stranger = await createSelfSigned({ nodeName: 'system:masters', hosts: ['a'] })
    const status = (options: object, headers: Record<string, string> = {}) =>
      new Promise<number | undefined>((resolve, reject) => {
        const url = {
          host: '127.0.0.1',
          port,
          path: '/pods',
          rejectUnauthorized: false,
          agent: false as const,
          headers
        }
        request({ ...url, ...options }, (response) => resolve(response.resume().statusCode))
          .on('error', reject)
          .end()
      })
    t.equal(await status(stranger), 401)
    t.equal(await status({}), 401)
    const unsigned = (claims: object) =>
      ['{"alg":"none"}', JSON.stringify(claims), '']
        .map((part) => Buffer.from(part).toString('base64url'))
        .join('.')
    t.equal(await status({}, { authorization: `Bearer ${unsigned({ sub: 'root' })}` }), 401)
    t.equal(await status({}, { authorization: `Bearer ${'x'.repeat(10_000)}` }), 401)
    t.equal(await status({}, { authorization: 'Basic cm9vdDpyb290' }), 401)
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\0\0\0\0']) {
      const socket = connect(port, '127.0.0.1', () => socket.end(bytes))
      socket.on('error', () => undefined).resume()
      await once(socket, 'close')
    }
    t.equal(await status({}, { authorization: 'Bearer lister' }), 200)
  }
)

t.test('a request that never ends is ended', async (t) => {
  const { server } = await serve(t, ['a'], { requestTimeoutMs: 200 })
  const port = await server.listen('127.0.0.1', 0)
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }, () =>
    socket.write('GET /pods HTTP/1.1\r\nHost: a\r\n')
  )
  t.match(String((await once(socket, 'data'))[0]), /^HTTP\/1.1 408 /)
  await once(socket, 'close')
})

t.test('each path needs its own subresource of the node, or nodes/proxy where that is older', async (t) => {
  const { get, asked } = await serve(t)
  const status = async (path: string, token: string) => (await get(path, token)).status
  t.equal(await status('/metrics/resource', 'scraper'), 200)
  t.equal(await status('/stats/summary', 'scraper'), 200)
  t.equal(await status('/pods', 'scraper'), 403)
  t.equal(await status('/pods', 'lister'), 200, 'nodes/pods')
  t.equal(await status('/runningpods/', 'lister'), 200)
  t.equal(await status('/healthz', 'lister'), 200, 'nodes/healthz')
  t.equal(await status('/containerLogs/ns/runs/main', 'lister'), 403)
  t.equal(await status('/pods', 'root'), 200, 'nodes/proxy')
  t.equal(await status('/containerLogs/ns/runs/main', 'root'), 200)
  t.equal(await status('/no/such/thing', 'root'), 404)
  t.match(asked.find(({ kind, spec }) => kind === 'SubjectAccessReview' && spec.user === 'scraper')!.spec, {
    resourceAttributes: { verb: 'get', resource: 'nodes', subresource: 'metrics', name: 'a' }
  })
})

t.test('behind a shared port a pod’s path asks for the right on its own node', async (t) => {
  const { get, asked } = await serve(t, ['a', 'b'])
  await get('/containerLogs/ns/elsewhere/main', 'root')
  await get('/pods', 'root')
  const names = asked
    .filter(({ kind }) => kind === 'SubjectAccessReview')
    .map(({ spec }) => spec.resourceAttributes!.name)
  t.same(names, ['b', undefined, undefined], 'the pods of all nodes need the right on all')
})

t.test('an API server that cannot be asked means no, and says so', async (t) => {
  const { get, fail } = await serve(t)
  await get('/pods', 'lister')
  fail()
  t.equal((await get('/pods', 'lister')).status, 200, 'what it said a moment ago holds')
  t.equal((await get('/metrics', 'lister')).status, 503)
  t.equal((await get('/pods', 'root')).status, 401)
})

t.test('answers are remembered for their time and asked together once', async (t) => {
  const { kube, asked } = reviewer({ root: ['proxy'] })
  let time = 0
  const now = () => time
  const authenticate = createAuthenticator({ kube, now, trustsClientCertificates: () => false })
  const authorize = createAuthorizer(kube, now)
  const as = (token: string) => authenticate({ headers: { authorization: `Bearer ${token}` } } as never)
  const [root] = await Promise.all([as('root'), as('root')])
  t.equal(asked.length, 1, 'together once')
  time += 119_000
  await as('root')
  t.equal(asked.length, 1)
  time += 2_000
  await as('root')
  t.equal(asked.length, 2, 'a token is known for 2 minutes')

  const allowed = (subresource: string) => authorize(root!, 'get', subresource, 'a')
  t.equal(await allowed('proxy'), true)
  t.equal(await allowed('pods'), false)
  time += 31_000
  await allowed('proxy')
  t.equal(asked.length, 4, 'a yes holds')
  await allowed('pods')
  t.equal(asked.length, 5, 'a no holds for 30 s')
  time += 270_000
  await allowed('proxy')
  t.equal(asked.length, 6, 'a yes holds for 5 minutes')
})

t.test('log options arrive at the backend as they were asked', async (t) => {
  const { get, queries } = await serve(t)
  const answer = await get(
    '/containerLogs/ns/runs/main?tailLines=0&limitBytes=7&sinceTime=2026-01-02T03:04:05%2B01:00&timestamps=true&follow=1&stream=All',
    'root'
  )
  t.equal(answer.text, 'one\ntwo\n')
  await get('/containerLogs/ns/runs/main?timestamps=false&follow=0&sinceSeconds=5', 'root')
  t.same(queries, [
    {
      tailLines: 0,
      limitBytes: 7,
      sinceTime: '2026-01-02T03:04:05+01:00',
      timestamps: true,
      previous: false,
      follow: true
    },
    { sinceSeconds: 5, timestamps: false, previous: false, follow: false }
  ])
})

t.test('a log that cannot be is refused in the kubelet’s words', async (t) => {
  const { get, log } = await serve(t)
  const cases: [string, number, RegExp][] = [
    ['runs/main?tailLines=-1', 400, /^tailLines: must be greater than or equal to 0/],
    ['runs/main?tailLines=ten', 400, /^tailLines: "ten" is not an integer/],
    ['runs/main?tailLines=99999999999999999999', 400, /^tailLines: .* is not an integer/],
    ['runs/main?limitBytes=1e99', 400, /^limitBytes: "1e99" is not an integer/],
    ['runs/..%2F..%2Fetc%2Fpasswd', 404, /^container .* not found in pod "runs"$/],
    ['runs/main?limitBytes=0', 400, /^limitBytes: must be greater than 0/],
    ['runs/main?sinceSeconds=0', 400, /^sinceSeconds: must be greater than 0/],
    ['runs/main?sinceTime=yesterday', 400, /^sinceTime: "yesterday" is no RFC 3339 time/],
    ['runs/main?sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z', 400, /at most one of/],
    ['runs/main?previous=true', 400, /^previous terminated container "main" in pod "runs" not found$/],
    ['runs/other', 404, /^container "other" not found in pod "runs"$/],
    ['nobody/main', 404, /^pod "nobody" in namespace "ns" is not on this node$/],
    ['waits/main', 400, /^container "main" in pod "waits" is waiting to start: Priority$/],
    ['waits/setup', 400, /^container "setup" in pod "waits" is waiting to start/]
  ]
  for (const [path, status, words] of cases) {
    const answer = await get(`/containerLogs/ns/${path}`, 'root')
    t.equal(answer.status, status, path)
    t.match(answer.text, words)
  }
  log.open = async () => Promise.reject(new Error('no such job'))
  const failed = await get('/containerLogs/ns/runs/main', 'root')
  t.equal(failed.status, 500)
  t.match(failed.text, /gave no log of container "main" in pod "runs": no such job/)
})

t.test('a followed log arrives as it is written, and the caller’s leaving ends it', async (t) => {
  const { server, log } = await serve(t)
  const source = new PassThrough()
  let left: AbortSignal | undefined
  log.open = async (signal) => {
    left = signal
    return source
  }
  const port = await server.listen('127.0.0.1', 0)
  const call = request({
    port,
    host: '127.0.0.1',
    path: '/containerLogs/ns/runs/main?follow=true',
    headers: { authorization: 'Bearer root' },
    rejectUnauthorized: false
  }).end()
  const [answer] = (await once(call, 'response')) as [Readable & { statusCode: number }]
  t.equal(answer.statusCode, 200, 'the answer begins before the first line')
  source.write('first\n')
  t.equal(String((await once(answer, 'data'))[0]), 'first\n')
  answer.on('error', () => undefined)
  call.destroy()
  if (!left!.aborted) await once(left!, 'abort')
  t.ok(left!.aborted)
})

t.test('lists are the API’s own objects: a reference to a Secret stays one', async (t) => {
  const { get } = await serve(t)
  const list = (await get('/pods', 'root')).json() as { kind: string; items: Pod[] }
  t.equal(list.kind, 'PodList')
  t.equal(list.items.length, 3)
  t.same(list.items[0]!.spec.containers[0]!.env, [
    { name: 'P', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }
  ])
  const runningList = (await get('/runningpods/', 'root')).json() as { items: Pod[] }
  t.same(
    runningList.items.map(({ metadata }) => metadata.name),
    ['runs', 'elsewhere']
  )
})

t.test('metrics say what is known and leave out what nobody measured', async (t) => {
  const { get } = await serve(t)
  const { text } = await get('/metrics/resource', 'scraper')
  t.match(
    text,
    /^container_start_time_seconds\{container="main",namespace="ns",pod="runs"\} 1795244400 \d{13}$/m
  )
  t.match(text, /^resource_scrape_error 0$/m)
  t.notMatch(text, /cpu|memory/)
  const summary = (await get('/stats/summary', 'scraper')).json()
  t.match(summary, {
    node: { nodeName: 'a' },
    pods: [
      {
        podRef: { name: 'runs', namespace: 'ns', uid: 'uid-runs' },
        containers: [{ name: 'main', startTime: startedAt }]
      }
    ]
  })
  const { text: own } = await get('/metrics', 'scraper')
  t.match(own, /^interlink_node_pods\{node="a",phase="Running"\} 1$/m)
  t.match(own, /^process_resident_memory_bytes \d+$/m)
})

t.test('exec, attach and port-forward say who does not offer them', async (t) => {
  const { server } = await serve(t)
  for (const url of [
    '/exec/ns/runs/main',
    '/exec/ns/runs/uid-runs/main',
    '/attach/ns/runs/main',
    '/portForward/ns/runs'
  ]) {
    const answer = await server.app.inject({ method: 'POST', url, headers: { authorization: 'Bearer root' } })
    t.equal(answer.statusCode, 501, url)
    t.match(answer.json(), { kind: 'Status', message: /is not offered by the backend plain of node a/ })
  }
})
