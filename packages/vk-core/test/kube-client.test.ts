import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createKubeClient } from '../src/kube/client.ts'
import { isExpired, isNotFound, KubeConfigError, KubeError } from '../src/kube/errors.ts'
import { createEventLane } from '../src/kube/events.ts'
import { loadKubeConfig } from '../src/kube/kubeconfig.ts'
import { createObjectCache } from '../src/kube/object-cache.ts'
import type { KubeObject } from '../src/kube/reflector.ts'
import { turnedClock } from './support/turned-clock.ts'
import { eventually, silent, startCluster } from './support/virtual-node.ts'

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void

async function listen(t: Test, answer: Answer) {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => answer(request, response, Buffer.concat(chunks).toString()))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const kubeconfig = (server: string, user: object, cluster: object = {}) =>
  JSON.stringify({
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u', namespace: 'lab' } }],
    clusters: [{ name: 'k', cluster: { server, ...cluster } }],
    users: [{ name: 'u', user }]
  })

async function load(t: Test, text: string) {
  const path = join(t.testdir(), 'kubeconfig')
  await writeFile(path, text)
  return loadKubeConfig({ path })
}

t.test('an exec plugin is asked once, and again when its token is refused', async (t) => {
  const seen: string[] = []
  const server = await listen(t, (request, response) => {
    seen.push(request.headers.authorization ?? '')
    const old = seen.length === 2
    response
      .writeHead(old ? 401 : 200)
      .end(JSON.stringify(old ? { kind: 'Status', message: 'expired' } : { ok: true }))
  })
  const dir = t.testdir()
  await writeFile(
    join(dir, 'token.sh'),
    `#!/bin/sh
case "$KUBERNETES_EXEC_INFO" in *client.authentication.k8s.io/v1beta1*) ;; *) echo "no info" >&2; exit 1;; esac
echo x >> "${dir}/calls"
n=$(wc -l < "${dir}/calls" | tr -d ' ')
printf '{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","status":{"token":"%s-%s"}}' "$WHO" "$n"
`
  )
  await chmod(join(dir, 'token.sh'), 0o700)
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1beta1',
    command: './token.sh',
    env: [{ name: 'WHO', value: 'me' }]
  }
  await writeFile(join(dir, 'config'), kubeconfig(server, { exec }))
  const config = await loadKubeConfig({ path: join(dir, 'config') })
  t.equal(config.namespace, 'lab')
  const client = createKubeClient(config, { userAgent: 'test' })
  t.teardown(() => client.close())
  await client.get('/one')
  await client.get('/two')
  t.strictSame(seen, ['Bearer me-1', 'Bearer me-1', 'Bearer me-2'])
})

t.test('a token file is read again after a refusal, and inside a pod all is found', async (t) => {
  const dir = t.testdir()
  let valid = 'Bearer first'
  const server = await listen(t, (request, response) => {
    const ok = request.headers.authorization === valid
    response.writeHead(ok ? 200 : 401).end('{}')
  })
  await mkdir(join(dir, 'sa'))
  await writeFile(join(dir, 'sa', 'token'), 'first\n')
  await writeFile(join(dir, 'sa', 'namespace'), 'here')
  await writeFile(join(dir, 'sa', 'ca.crt'), 'CA')
  const { hostname, port } = new URL(server)
  const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }
  const inside = await loadKubeConfig({ env, serviceAccountDir: join(dir, 'sa') })
  t.match(inside, {
    server: `https://${hostname}:${port}`,
    namespace: 'here',
    ca: 'CA',
    context: 'in-cluster'
  })
  const client = createKubeClient({ ...inside, server, ca: undefined }, { userAgent: 'test' })
  t.teardown(() => client.close())
  await client.get('/')
  valid = 'Bearer second'
  await writeFile(join(dir, 'sa', 'token'), 'second\n')
  await client.get('/')
  valid = 'Bearer third'
  t.match(await client.get('/').catch((error: unknown) => error), { status: 401 })
})

t.test('a kubeconfig that cannot be used is refused with its file, key and the fix', async (t) => {
  const cases: [string, RegExp][] = [
    ['a: [', /kubeconfig:1: .*flow/i],
    ['words', /kubeconfig: this is no kubeconfig/],
    ['{}', /current-context is not set/],
    [kubeconfig('ftp://x', {}), /clusters\[k\]\.cluster\.server must be an http/],
    [kubeconfig('https://x', {}, { 'proxy-url': 'socks5://p:1' }), /proxy-url must be http/],
    [kubeconfig('https://x', { 'auth-provider': { name: 'gcp' } }), /use an exec plugin/],
    [kubeconfig('https://x', { as: 'root' }), /impersonation is not supported/],
    [
      kubeconfig('https://x', {}, { 'certificate-authority': 'no.pem' }),
      /certificate-authority .*no\.pem cannot be read/
    ],
    [kubeconfig('https://x', {}).replace('"cluster":"k","user"', '"cluster":"z","user"'), /clusters has no z/]
  ]
  for (const [text, message] of cases) {
    const error = await load(t, text).catch((one: unknown) => one)
    t.ok(error instanceof KubeConfigError, `${message}`)
    t.match((error as Error).message, message)
  }
  await t.rejects(loadKubeConfig({ path: '/nowhere/config' }), {
    message: /cannot be read: there is no such file/
  })
})

t.test(
  'errors say what the API server said, and too many requests are taken back and made again',
  async (t) => {
    let busy = 2
    const bodies: string[] = []
    const server = await listen(t, (request, response, body) => {
      bodies.push(`${request.method} ${request.headers['content-type'] ?? ''} ${body}`)
      if (request.url === '/busy' && busy-- > 0)
        return response.writeHead(429, { 'retry-after': '0' }).end('slow down')
      if (request.url === '/busy') return response.end('{"n":1}')
      if (request.url === '/plain') return response.writeHead(502).end('Bad Gateway')
      const status = {
        kind: 'Status',
        reason: 'NotFound',
        message: 'pods "x" not found',
        details: { name: 'x', kind: 'pods' }
      }
      return response.writeHead(404).end(JSON.stringify(status))
    })
    const client = createKubeClient(await load(t, kubeconfig(server, {})), { userAgent: 'test' })
    t.teardown(() => client.close())
    t.strictSame(await client.patch('/busy', { a: 1 }, 'strategic'), { n: 1 })
    t.equal(bodies.length, 3)
    t.equal(bodies[2], 'PATCH application/strategic-merge-patch+json {"a":1}')
    const missing = await client.get('/x').catch((error: unknown) => error)
    t.ok(isNotFound(missing) && !isExpired(missing))
    t.match(missing, {
      status: 404,
      reason: 'NotFound',
      message: 'pods "x" not found',
      details: { name: 'x' }
    })
    t.match(await client.get('/plain').catch((error: unknown) => error), {
      status: 502,
      message: 'Bad Gateway'
    })
    t.ok((await client.get('/plain').catch((error: unknown) => error)) instanceof KubeError)
  }
)

t.test('repeated events raise the count of the first, and what waits is sent before the end', async (t) => {
  const cluster = await startCluster(t.testdir())
  t.teardown(() => cluster.close())
  const lane = createEventLane({ client: cluster.kube, log: silent, concurrency: 1 })
  const recorder = lane.recorder('edge')
  const about = {
    apiVersion: 'v1',
    kind: 'Pod',
    name: `p${process.pid}`,
    namespace: 'default',
    uid: `u${process.pid}`
  }
  recorder.record(about, 'Warning', 'BackOff', 'again')
  await eventually(() => lane.pending === 0)
  recorder.record(about, 'Warning', 'BackOff', 'again')
  recorder.record(about, 'Normal', 'Started', 'x'.repeat(2000))
  recorder.record(about, 'Warning', 'BackOff', 'again')
  await lane.stop()
  const query = { fieldSelector: `involvedObject.name=${about.name}` }
  const { items } = await cluster.kube.get<{ items: { reason: string; count: number; message: string }[] }>(
    '/api/v1/namespaces/default/events',
    query
  )
  const counts = Object.fromEntries(items.map((one) => [one.reason, one.count]))
  t.strictSame(counts, { BackOff: 3, Started: 1 })
  t.match(
    items.find((one) => one.reason === 'Started'),
    {
      source: { component: 'interlink', host: 'edge' },
      reportingComponent: 'interlink',
      involvedObject: { uid: about.uid },
      message: /^x{1023}…$/
    }
  )
})

t.test('events of all nodes go one at a time and apart while any is busy, for a minute', async (t) => {
  const turned = turnedClock()
  let sent = 0
  const server = await listen(t, (_request, response) => {
    sent++
    response.end('{}')
  })
  const client = createKubeClient(await load(t, kubeconfig(server, {})), { userAgent: 'test' })
  t.teardown(() => client.close())
  let busy = true
  const lane = createEventLane({
    client,
    log: silent,
    clock: turned.clock,
    busy: () => busy,
    slowMs: 1000
  })
  const recorders = [lane.recorder('edge'), lane.recorder('other')] as const
  const about = { apiVersion: 'v1', kind: 'Pod', name: 'p' }
  for (let i = 0; i < 20; i++) recorders[i % 2]!.record(about, 'Normal', 'Started', `container ${i}`)
  await eventually(() => sent === 1 && lane.pending === 19)
  await turned.turn(1000)
  await eventually(() => sent === 2 && lane.pending === 18)
  busy = false
  await turned.turn(1000)
  await eventually(() => sent === 20)

  busy = true
  for (let i = 20; i < 30; i++) recorders[0].record(about, 'Normal', 'Started', `container ${i}`)
  await eventually(() => sent === 21 && lane.pending === 9)
  await turned.turn(60_000)
  await eventually(() => sent === 30)
})

t.test('an object is watched by its name alone, while somebody needs it', async (t) => {
  const cluster = await startCluster(t.testdir())
  t.teardown(() => cluster.close())
  const turned = turnedClock()
  const path = '/api/v1/namespaces/default/configmaps'
  const name = `cm${process.pid}`
  const cache = createObjectCache<KubeObject & { data?: Record<string, string> }>({
    client: cluster.kube,
    resource: 'configmaps',
    log: silent,
    clock: turned.clock,
    lingerMs: 1000
  })
  t.teardown(() => cache.stop())
  let told = 0
  const owner = { onObjectChange: () => void told++ }
  const other = { onObjectChange: () => {} }
  t.equal(await cache.get(owner, 'default', name), undefined)
  await cluster.kube.create(path, { metadata: { name: `${name}-other` } })
  await cluster.kube.create(path, { metadata: { name }, data: { a: '1' } })
  await eventually(() => told === 1)
  t.match(await cache.get(other, 'default', name), { data: { a: '1' } })
  t.equal(cache.watched, 1)
  cache.release(owner)
  await turned.turn(5000)
  t.equal(cache.watched, 1, 'the other still needs it')
  cache.release(other)
  await turned.turn(500)
  t.equal(cache.watched, 1)
  await turned.turn(1000)
  t.equal(cache.watched, 0)
  await cluster.kube.delete(`${path}/${name}`)
  await cluster.kube.delete(`${path}/${name}-other`)
})

t.test('an object that may not be listed says so instead of waiting for ever', async (t) => {
  const server = await listen(t, (_request, response) =>
    response.writeHead(403).end(JSON.stringify({ reason: 'Forbidden', message: 'secrets is forbidden' }))
  )
  const client = createKubeClient(await load(t, kubeconfig(server, {})), { userAgent: 'test' })
  t.teardown(() => client.close())
  const cache = createObjectCache({ client, resource: 'secrets', log: silent })
  t.teardown(() => cache.stop())
  const error = await cache.get({ onObjectChange: () => {} }, 'default', 's').catch((one: unknown) => one)
  t.match(error, { status: 403 })
})
