import t from 'tap'
import { known } from '../src/resources.ts'
import { Store } from '../src/store.ts'
import { devCluster, pod, podsPath, until } from './support.ts'

const configMaps = '/api/v1/namespaces/default/configmaps'
const map = (name: string, data = {}, metadata = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...metadata },
  data
})

void t.test('a write on an old resourceVersion is a conflict, and changes nothing', async (t) => {
  const { api } = await devCluster(t)
  const { body: first } = await api('POST', configMaps, map('a', { x: '1' }))
  const second = await api('PUT', `${configMaps}/a`, { ...first, data: { x: '2' } })
  t.equal(second.status, 200)
  const late = await api('PUT', `${configMaps}/a`, { ...first, data: { x: '3' } })
  t.match(late, { status: 409, body: { kind: 'Status', reason: 'Conflict' } })
  t.match(await api('GET', `${configMaps}/a`), { body: { data: { x: '2' } } })
})

void t.test('a write that changes nothing keeps the resourceVersion and tells no watcher', async (t) => {
  const { api, watch } = await devCluster(t)
  const { body: first } = await api('POST', configMaps, map('a', { x: '1' }))
  const from = String(first.metadata!.resourceVersion)
  const { events } = await watch(`${configMaps}?watch=1&resourceVersion=${from}`)
  const { body: same } = await api('PATCH', `${configMaps}/a`, { data: { x: '1' } })
  t.equal(same.metadata!.resourceVersion, first.metadata!.resourceVersion)
  await api('PATCH', `${configMaps}/a`, { data: { x: '2' } })
  await until(() => events.length > 0)
  t.match(events, [{ type: 'MODIFIED', object: { data: { x: '2' } } }])
  t.equal(events.length, 1)
})

void t.test('a watch resumes from a revision, and follows what starts and ceases to match', async (t) => {
  const { api, watch } = await devCluster(t)
  const { body: empty } = await api('GET', configMaps)
  await api('POST', configMaps, map('a', {}, { labels: { on: 'yes' } }))
  await api('PATCH', `${configMaps}/a`, { metadata: { labels: { on: null } } })
  await api('PATCH', `${configMaps}/a`, { metadata: { labels: { on: 'yes' } } })
  await api('DELETE', `${configMaps}/a`)
  const from = String(empty.metadata!.resourceVersion)
  const { events } = await watch(`${configMaps}?watch=1&resourceVersion=${from}&labelSelector=on%3Dyes`)
  await until(() => events.length === 4)
  t.same(
    events.map(({ type }) => type),
    ['ADDED', 'DELETED', 'ADDED', 'DELETED']
  )
})

void t.test('a watch of a revision that was never reached ends with 410 Expired', async (t) => {
  const { watch } = await devCluster(t)
  const watching = await watch(`${configMaps}?watch=1&resourceVersion=99999`)
  await watching.ended
  t.match(watching.events, [{ type: 'ERROR', object: { code: 410, reason: 'Expired' } }])
})

void t.test('a store forgets old changes, and says so to who asks for them', (t) => {
  const store = new Store()
  const resource = known('v1', 'ConfigMap')
  const object = (count: number) => ({
    metadata: { name: 'a', namespace: 'x', uid: 'u', resourceVersion: '', creationTimestamp: '' },
    data: { count }
  })
  const first = Number(store.add(resource, object(0)).metadata.resourceVersion)
  for (let count = 1; count <= 10_000; count++) store.put(resource, object(count))
  t.throws(() => store.watch(resource, first, () => {}), /too old resource version/)
  const seen: unknown[] = []
  store.watch(resource, store.revision - 2, ({ object: { data } }) => void seen.push(data))
  t.same(seen, [{ count: 9999 }, { count: 10_000 }])
  t.end()
})

void t.test('sendInitialEvents gives what is there, then a bookmark that says so', async (t) => {
  const { api, watch } = await devCluster(t)
  await api('POST', configMaps, map('a'))
  const { events } = await watch(
    `${configMaps}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`
  )
  await until(() => events.some(({ type }) => type === 'BOOKMARK'))
  t.match(events.at(-1)!.object, { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } })
  t.ok(events.slice(0, -1).every(({ type }) => type === 'ADDED'))
  t.ok(events.some(({ object }) => String(object.metadata!.name) === 'a'))
})

void t.test('a watch ends by itself after timeoutSeconds', async (t) => {
  const { watch } = await devCluster(t)
  const watching = await watch(`${configMaps}?watch=1&timeoutSeconds=1`)
  await watching.ended
  t.pass('ended')
})

void t.test('a list comes in pages that miss nothing and repeat nothing', async (t) => {
  const { api } = await devCluster(t)
  for (let index = 0; index < 7; index++) await api('POST', configMaps, map(`m${index}`))
  const names: string[] = []
  let token = ''
  do {
    const { body } = await api('GET', `${configMaps}?limit=3${token ? `&continue=${token}` : ''}`)
    for (const item of body.items as unknown as { metadata: { name: string } }[])
      names.push(item.metadata.name)
    token = (body.metadata!.continue as unknown as string | undefined) ?? ''
  } while (token)
  t.same(names, ['kube-root-ca.crt', 'm0', 'm1', 'm2', 'm3', 'm4', 'm5', 'm6'])
})

void t.test('labels select by sets and by being there or not', async (t) => {
  const { api } = await devCluster(t)
  await api('POST', configMaps, map('a', {}, { labels: { tier: 'web', old: '' } }))
  await api('POST', configMaps, map('b', {}, { labels: { tier: 'db' } }))
  await api('POST', configMaps, map('c', {}, { labels: { tier: 'cache' } }))
  const select = async (text: string) => {
    const { body } = await api('GET', `${configMaps}?labelSelector=${encodeURIComponent(text)}`)
    return (body.items as unknown as { metadata: { name: string } }[])
      .map(({ metadata }) => metadata.name)
      .join('')
  }
  t.equal(await select('tier in (web, db)'), 'ab')
  t.equal(await select('tier,tier notin (web,db)'), 'c')
  t.equal(await select('tier=web,old'), 'a')
  t.equal(await select('tier,!old'), 'bc')
  t.equal(await select('tier,tier!=db'), 'ac')
  t.match(await api('GET', `${configMaps}?labelSelector=a%3D%3D%3Db%20c`), { status: 400 })
})

void t.test('fields select only where the real API lets them', async (t) => {
  const { api } = await devCluster(t, { scheduler: false })
  await api('POST', podsPath, pod('a', { nodeName: 'n1' }))
  await api('POST', podsPath, pod('b'))
  const { body } = await api('GET', `${podsPath}?fieldSelector=spec.nodeName%3Dn1,status.phase!%3DFailed`)
  t.match(body.items, [{ metadata: { name: 'a' } }])
  t.equal((body.items as unknown as unknown[]).length, 1)
  t.match(await api('GET', `${podsPath}?fieldSelector=spec.hostname%3Dx`), {
    status: 400,
    body: { message: 'field label not supported: spec.hostname' }
  })
})

void t.test('generateName makes names that differ', async (t) => {
  const { api } = await devCluster(t)
  const made = await Promise.all(
    [1, 2].map(() => api('POST', configMaps, map('', {}, { name: undefined, generateName: 'm-' })))
  )
  const names = made.map(({ body }) => String(body.metadata!.name))
  t.ok(names.every((name) => /^m-[a-z0-9]{5}$/.test(name)))
  t.not(names[0], names[1])
})

void t.test('a dry run answers as if, and stores nothing', async (t) => {
  const { api } = await devCluster(t)
  t.match(await api('POST', `${configMaps}?dryRun=All`, map('a')), { status: 201 })
  t.match(await api('GET', `${configMaps}/a`), { status: 404, body: { reason: 'NotFound' } })
})

void t.test('every watcher of an object is told, each in the form it asked for', async (t) => {
  const { api, watch } = await devCluster(t)
  const core = await watch('/api/v1/events?watch=1')
  const modern = await watch('/apis/events.k8s.io/v1/events?watch=1')
  await api('POST', '/apis/events.k8s.io/v1/namespaces/default/events', {
    metadata: { name: 'e' },
    regarding: { kind: 'Pod', name: 'p', namespace: 'default' },
    note: 'it happened',
    reason: 'Happened',
    type: 'Normal',
    eventTime: '2026-01-01T00:00:00.000000Z',
    reportingController: 'test',
    reportingInstance: 'test-1',
    action: 'Test'
  })
  await until(() => core.events.length > 0 && modern.events.length > 0)
  t.match(core.events[0]!.object, { apiVersion: 'v1', message: 'it happened', involvedObject: { name: 'p' } })
  t.match(modern.events[0]!.object, { note: 'it happened', regarding: { name: 'p' } })
})
