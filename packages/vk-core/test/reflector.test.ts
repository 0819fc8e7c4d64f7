import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createKubeClient } from '../src/kube/client.ts'
import { createReflector, type Change, type KubeObject } from '../src/kube/reflector.ts'
import { eventually, silent } from './support/virtual-node.ts'

/** An API server that misbehaves as told. `watch` gets the number of the watch, from 1. */
async function startServer(
  t: Test,
  watch: (response: ServerResponse, n: number, version: string) => void,
  options: { list?: (response: ServerResponse, n: number) => boolean } = {}
) {
  const objects = new Map<
    string,
    { metadata: { uid: string; name: string; resourceVersion: string; managedFields: [] } }
  >()
  const seen = { lists: 0, watches: 0, versions: [] as string[], pages: [] as string[] }
  let version = 10
  const put = (name: string) => {
    const object = {
      metadata: { uid: name, name, resourceVersion: String(++version), managedFields: [] as [] }
    }
    objects.set(name, object)
    return object
  }
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://api')
    if (url.searchParams.has('watch')) {
      seen.watches++
      seen.versions.push(url.searchParams.get('resourceVersion') ?? '')
      if (url.searchParams.get('allowWatchBookmarks') !== 'true') return response.writeHead(400).end()
      response.writeHead(200, { 'content-type': 'application/json' })
      response.flushHeaders()
      return watch(response, seen.watches, url.searchParams.get('resourceVersion') ?? '')
    }
    seen.lists++
    if (options.list?.(response, seen.lists)) return
    const limit = Number(url.searchParams.get('limit'))
    const at = Number(url.searchParams.get('continue') ?? 0)
    seen.pages.push(String(at))
    const items = [...objects.values()].slice(at, at + limit)
    const more = at + limit < objects.size ? String(at + limit) : undefined
    response.end(JSON.stringify({ metadata: { resourceVersion: String(version), continue: more }, items }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const client = createKubeClient(
    {
      server: `http://127.0.0.1:${port}`,
      namespace: 'default',
      context: 'test',
      insecure: false,
      credentials: async () => ({})
    },
    { userAgent: 'test' }
  )
  const changes: string[] = []
  const reflector = createReflector<KubeObject>({
    client,
    path: '/api/v1/things',
    log: silent,
    pageSize: 2,
    inactivityMs: 300,
    backoff: { base: 20, cap: 50 },
    onChange: (change: Change<KubeObject>) => changes.push(`${change.type} ${change.object.metadata.name}`)
  })
  t.teardown(async () => {
    await reflector.stop()
    await client.close()
    server.closeAllConnections()
    server.close()
  })
  const line = (response: ServerResponse, type: string, object: unknown) =>
    response.write(`${JSON.stringify({ type, object })}\n`)
  return { objects, put, seen, changes, reflector, line, bump: () => String(++version) }
}

t.test('all pages are listed before it is synced, and managedFields are dropped', async (t) => {
  const api = await startServer(t, () => {})
  for (const name of ['a', 'b', 'c', 'd', 'e']) api.put(name)
  api.reflector.start()
  await api.reflector.synced
  t.equal(api.reflector.size, 5)
  t.strictSame(api.seen.pages, ['0', '2', '4'])
  t.notOk('managedFields' in (api.reflector.get('a')?.metadata ?? {}))
})

t.test('changes are told as added, updated and deleted with the last object', async (t) => {
  const api = await startServer(t, (response, n) => {
    if (n > 1) return
    api.line(response, 'ADDED', api.put('b'))
    api.line(response, 'MODIFIED', api.put('a'))
    const gone = api.put('a')
    api.line(response, 'DELETED', gone)
  })
  api.put('a')
  api.reflector.start()
  await eventually(() => api.changes.length === 4)
  t.strictSame(api.changes, ['added a', 'added b', 'updated a', 'deleted a'])
})

t.test('a watch that is closed at once is not asked for in a hot loop', async (t) => {
  const api = await startServer(t, (response) => response.end())
  api.reflector.start()
  await eventually(() => api.seen.watches >= 2)
  const before = api.seen.watches
  const begun = performance.now()
  await new Promise((resolve) => setTimeout(resolve, 500))
  const more = api.seen.watches - before
  const seconds = (performance.now() - begun) / 1000
  t.ok(more < 100 * seconds, `${more} watches in ${seconds} s`)
})

t.test('a watch that ends in order is resumed from the last version, without a list', async (t) => {
  const api = await startServer(t, (response, n) => {
    if (n === 1) {
      api.line(response, 'ADDED', api.put('a'))
      api.line(response, 'BOOKMARK', { metadata: { resourceVersion: api.bump() } })
      response.end()
    } else if (n === 2) api.line(response, 'ADDED', api.put('b'))
  })
  api.reflector.start()
  await eventually(() => api.changes.length === 2)
  t.strictSame(api.changes, ['added a', 'added b'])
  t.equal(api.seen.lists, 1)
  t.strictSame(api.seen.versions.slice(0, 2), ['10', '12'])
})

t.test('an error of the server is tried again, and nothing is lost', async (t) => {
  const api = await startServer(
    t,
    (response, n) => {
      if (n === 2) api.line(response, 'ADDED', api.put('a'))
      else if (n === 1) response.destroy()
    },
    {
      list(response, n) {
        if (n > 2) return false
        response.writeHead(500).end('{"kind":"Status","message":"etcd has no leader"}')
        return true
      }
    }
  )
  api.reflector.start()
  await eventually(() => api.changes.includes('added a'))
  t.equal(api.seen.lists, 3)
})

t.test(
  'a version that is too old leads to a new list, and what went in between is told as deleted',
  async (t) => {
    const api = await startServer(t, (response, n) => {
      if (n > 1) return
      api.objects.delete('a')
      api.put('c')
      api.line(response, 'ERROR', { kind: 'Status', code: 410, reason: 'Expired' })
      response.end()
    })
    api.put('a')
    api.put('b')
    api.reflector.start()
    await eventually(() => api.changes.length === 4)
    t.strictSame(api.changes, ['added a', 'added b', 'added c', 'deleted a'])
    t.equal(api.seen.lists, 2)
  }
)

t.test('a connection that breaks within a line is resumed, and the line is told whole', async (t) => {
  const api = await startServer(t, (response, n) => {
    if (n === 1) {
      const half = JSON.stringify({ type: 'ADDED', object: { metadata: { uid: 'a', name: 'a' } } }).slice(
        0,
        30
      )
      response.write(half, () => response.destroy())
    } else if (n === 2) api.line(response, 'ADDED', api.put('a'))
  })
  api.reflector.start()
  await eventually(() => api.changes.length === 1)
  t.strictSame(api.changes, ['added a'])
})

t.test('garbage in the stream is not passed over: the watch begins again, at last with a list', async (t) => {
  const api = await startServer(t, (response, n) => {
    if (n < 6) response.end('{"type":"ADDED","object":\n')
    else api.line(response, 'ADDED', api.put('a'))
  })
  api.reflector.start()
  await eventually(() => api.changes.includes('added a'))
  t.ok(api.seen.lists > 1)
})

t.test('a watch that falls silent is taken as dead', async (t) => {
  const api = await startServer(t, (response, n) => {
    if (n === 2) api.line(response, 'ADDED', api.put('a'))
  })
  api.reflector.start()
  await eventually(() => api.changes.length === 1)
  t.equal(api.seen.lists, 1)
})
