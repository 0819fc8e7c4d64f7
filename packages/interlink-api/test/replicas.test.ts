import t from 'tap'
import { setTimeout as delay } from 'node:timers/promises'
import { startApi, type RunningApi } from '../src/server/index.ts'
import type { WatchEvent } from '../src/wire/index.ts'
import { clientOf, double, logRequest, raw, request, text } from './helpers.ts'
import { answer, podOf, statusOf, uidOf } from './plugin-double.ts'

t.test(
  'two replicas behind a round-robin serve a pod from its create to its end, and either may die',
  async (t) => {
    const pods = new Set<string>()
    const plugin = await double(t, ({ path, json }, response) => {
      const uid =
        (json as { pod?: { metadata: { uid: string } }; metadata?: { uid: string } } | undefined) ?? {}
      if (path === '/create') {
        pods.add(uid.pod!.metadata.uid)
        return answer(response, { PodUID: uid.pod!.metadata.uid, PodJID: '1' })
      }
      if (path === '/delete') {
        pods.delete(uid.metadata!.uid)
        return response.end('deleted')
      }
      if (path === '/getLogs') return response.end('hello\n')
      answer(
        response,
        (json as { metadata: { uid: string } }[])
          .filter((pod) => pods.has(pod.metadata.uid))
          .map((pod) => statusOf(pod.metadata.uid))
      )
    })
    const start = () => startApi({ listen: 'http://127.0.0.1:0', plugins: [{ name: 'p', url: plugin.url }] })
    const replicas: RunningApi[] = [await start(), await start()]
    t.teardown(() => Promise.all(replicas.map((replica) => replica.close())))
    const clients = () => replicas.map(({ url }) => clientOf(t, { url }))
    let turn = 0
    let serving = clients()
    const next = () => serving[turn++ % serving.length]!

    const uids = Array.from({ length: 20 }, (_, n) => uidOf(n))
    await Promise.all(uids.map((uid) => next().create(request(uid))))
    for (let round = 0; round < 4; round++)
      t.equal((await next().status(uids.map((uid) => podOf({ uid })))).length, 20)
    t.equal(await text((await next().logs(logRequest())).stream), 'hello\n')

    await replicas[0]!.close()
    serving = [serving[1]!]
    t.equal((await next().status(uids.map((uid) => podOf({ uid })))).length, 20)
    replicas[0] = await start()
    serving = clients()
    await Promise.all(uids.slice(0, 10).map((uid) => next().delete(podOf({ uid }))))
    for (let round = 0; round < 2; round++)
      t.equal((await next().status(uids.map((uid) => podOf({ uid })))).length, 10)
  }
)

t.test('a server that closes ends its streams and lets calls under way finish', async (t) => {
  let release!: () => void
  const held = new Promise<void>((resolve) => (release = resolve))
  const plugin = await double(t, async ({ path }, response) => {
    if (path.startsWith('/watch')) {
      response.writeHead(200)
      return response.write('{"type":"reset"}\n')
    }
    await held
    answer(response, { PodUID: uidOf(1), PodJID: '1' })
  })
  const api = await startApi({ listen: 'http://127.0.0.1:0', plugins: [{ name: 'p', url: plugin.url }] })
  const client = clientOf(t, { url: api.url })
  const watch = client.watch()
  t.same((await watch.next()).value, { type: 'reset' })
  const created = client.create(request())
  while (!plugin.calls.some(({ path }) => path === '/create')) await delay(5)
  const closed = api.close()
  await watch.next().then(
    ({ done }) => t.equal(done, true),
    () => t.pass('the watch ended')
  )
  release()
  t.equal((await created).PodJID, '1')
  await closed
})

/** Sends what a test writes to it, to every watcher. */
async function watched(t: Parameters<typeof double>[0]) {
  const opened: { path: string; send(...events: object[]): void; end(): void }[] = []
  const plugin = await double(t, ({ path }, response) => {
    if (path.startsWith('/status')) return answer(response, { capabilities: ['watch'] })
    response.writeHead(200)
    response.flushHeaders()
    opened.push({
      path,
      send: (...events) => void response.write(events.map((event) => `${JSON.stringify(event)}\n`).join('')),
      end: () => response.end()
    })
  })
  const nth = async (n: number) => {
    while (opened.length <= n) await delay(5)
    return opened[n]!
  }
  return { plugin, nth }
}

const two = async (t: Parameters<typeof double>[0]) => {
  const [a, b] = [await watched(t), await watched(t)]
  const api = await startApi({
    listen: 'http://127.0.0.1:0',
    plugins: [
      { name: 'a', url: a.plugin.url },
      { name: 'b', url: b.plugin.url }
    ]
  })
  t.teardown(() => api.close())
  return { a, b, url: api.url, client: clientOf(t, { url: api.url }) }
}
const status = (cursor: string, n: number) => ({ type: 'status', cursor, status: statusOf(uidOf(n)) })
const bookmark = (cursor: string) => ({ type: 'bookmark', cursor })
const take = async (events: AsyncGenerator<WatchEvent>, count: number) => {
  const taken: WatchEvent[] = []
  while (taken.length < count) taken.push((await events.next()).value as WatchEvent)
  return taken
}
const cursorOf = (event: WatchEvent | undefined) => (event && 'cursor' in event ? event.cursor : '')

t.test(
  'the watch of two plugins is one list, one bookmark when both have caught up, and one cursor',
  async (t) => {
    const { a, b, client } = await two(t)
    const watch = client.watch({ node: 'vk' })
    const first = watch.next()
    const [fromA, fromB] = [await a.nth(0), await b.nth(0)]
    t.equal(fromA.path, '/watch?node=vk')
    t.same((await first).value, { type: 'reset' })
    fromA.send({ type: 'reset' }, status('a1', 1), bookmark('a1'))
    const [one] = await take(watch, 1)
    t.match(one, { type: 'status', status: { UID: uidOf(1) } })
    fromB.send({ type: 'reset' }, status('b1', 2), bookmark('b1'))
    const rest = await take(watch, 2)
    t.same(
      rest.map(({ type }) => type),
      ['status', 'bookmark'],
      'the bookmark of the first was held back'
    )
    await watch.return(undefined)

    const again = client.watch({ node: 'vk', cursor: cursorOf(rest[1]) })
    const gone = again.next()
    t.equal((await a.nth(1)).path, '/watch?node=vk&cursor=a1')
    const resumedB = await b.nth(1)
    t.equal(resumedB.path, '/watch?node=vk&cursor=b1')
    resumedB.send({ type: 'gone', cursor: 'b2', UID: uidOf(2) })
    t.match((await gone).value, { type: 'gone', UID: uidOf(2) })
    await again.return(undefined)
  }
)

t.test('a reset of one plugin begins the whole list anew, and the end of one ends the watch', async (t) => {
  const { a, b, client } = await two(t)
  const watch = client.watch()
  const first = watch.next()
  ;(await a.nth(0)).send({ type: 'reset' }, bookmark('a1'))
  ;(await b.nth(0)).send({ type: 'reset' }, status('b1', 1), bookmark('b1'))
  await first
  await take(watch, 2)
  ;(await a.nth(0)).send({ type: 'reset' })
  const reset = watch.next()
  t.equal((await a.nth(1)).path, '/watch', 'both are asked from the beginning')
  t.equal((await b.nth(1)).path, '/watch')
  t.same((await reset).value, { type: 'reset' })
  ;(await b.nth(1)).end()
  t.equal((await watch.next()).done, true)
})

t.test('a cursor that is no cursor of these plugins begins anew', async (t) => {
  const { a, b, client } = await two(t)
  const watch = client.watch({ cursor: 'nonsense' })
  const first = watch.next()
  t.equal((await a.nth(0)).path, '/watch')
  t.equal((await b.nth(0)).path, '/watch')
  t.same((await first).value, { type: 'reset' })
  await watch.return(undefined)
})

t.test(
  'the watch of one plugin passes through byte for byte, and one that has none is said to have none',
  async (t) => {
    const odd = '{"type":"bookmark","cursor":"1","later":{"x":null}}\n'
    const one = await double(t, (_call, response) => response.end(odd))
    const none = await double(t, (_call, response) => response.writeHead(404).end())
    const api = await startApi({
      listen: 'http://127.0.0.1:0',
      plugins: [
        { name: 'one', url: one.url, nodes: ['a'] },
        { name: 'none', url: none.url, nodes: ['b'] }
      ]
    })
    t.teardown(() => api.close())
    const passed = await raw(api.url, 'GET', '/watch?node=a&cursor=7')
    t.equal(passed.body, odd)
    t.match(passed.headers['content-type'], 'application/x-ndjson')
    t.equal(one.calls[0]!.path, '/watch?node=a&cursor=7')
    const refused = await raw(api.url, 'GET', '/watch?node=b')
    t.equal(refused.status, 404)
    t.match(JSON.parse(refused.body), { code: 'IL_NOT_OFFERED', message: 'plugin none does not offer watch' })
  }
)

t.test('a session with a plugin that turns the API server away is refused with the reason', async (t) => {
  const wrong = await double(t, (_call, response) => {
    response.writeHead(401).end('the token is unknown')
  })
  const api = await startApi({ listen: 'http://127.0.0.1:0', plugins: [{ name: 'p', url: wrong.url }] })
  t.teardown(() => api.close())
  const session = clientOf(t, { url: api.url }).stream(uidOf(1), { kind: 'portforward', port: 80 })
  await t.rejects(session, { message: /plugin p.*the token is unknown/ })
})
