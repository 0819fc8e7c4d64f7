import t from 'tap'
import type { InterlinkError } from '../src/errors.ts'
import type { CreateOutcome } from '../src/wire/index.ts'
import { clientOf, defer, double, request, serve, type Ending } from './helpers.ts'
import { answer, uidOf, type PluginDouble } from './plugin-double.ts'

interface Body {
  readonly pod: { readonly metadata: { readonly uid: string } }
}

const uidIn = (body: unknown) => (body as Body).pod.metadata.uid
const created = (body: unknown) => ({ PodUID: uidIn(body), PodJID: `job-${uidIn(body)}` })
const outcome = (body: unknown): CreateOutcome => ({ created: created(body) })
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

/** Answers creates, one or several, and pings with these capabilities. */
const plugin = (t: Ending, capabilities: readonly string[], one = outcome) =>
  double(t, ({ json, path }, response) => {
    if (path === '/status') return answer(response, { status: 'ok', capabilities })
    if (Array.isArray(json)) return answer(response, json.map(one))
    const { error, status, created } = one(json)
    answer(response, error ?? created, status ?? 200)
  })

const creates = (server: PluginDouble) =>
  server.calls
    .filter(({ path }) => path === '/create')
    .map(({ body }) => {
      const json = JSON.parse(body) as unknown
      return Array.isArray(json) ? json.length : 'alone'
    })

const failure = (call: Promise<unknown>): Promise<InterlinkError> =>
  call.then(
    () => {
      throw new Error('it should have failed')
    },
    (error: InterlinkError) => error
  )

t.test('creates that come at the same time go in few calls, and each gets its own answer', async (t) => {
  const server = await plugin(t, ['create.batch'])
  const client = clientOf(t, { url: server.url })
  const answers = await Promise.all(
    numbers(100).map((n) => client.create(request(uidOf(n)), { node: 'vk', gather: true }))
  )
  t.same(
    answers.map(({ PodJID }) => PodJID),
    numbers(100).map((n) => `job-${uidOf(n)}`)
  )
  t.same(creates(server), [32, 32, 32, 4])
  await client.create(request(uidOf(101)), { gather: true })
  t.equal(creates(server).at(-1), 'alone', 'one that comes alone is no array')
})

t.test(
  'creates that come while four calls are under way wait for one of them, and then go together',
  async (t) => {
    const hold = defer()
    const server = await double(t, async ({ json }, response) => {
      await hold.promise
      answer(response, Array.isArray(json) ? json.map(outcome) : created(json))
    })
    const client = clientOf(t, { url: server.url })
    const calls = []
    for (const n of numbers(9)) {
      calls.push(client.create(request(uidOf(n)), { gather: true }))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    t.same(creates(server), ['alone', 'alone', 'alone', 'alone'])
    hold.resolve()
    await Promise.all(calls)
    t.same(creates(server), ['alone', 'alone', 'alone', 'alone', 5])
  }
)

t.test('one that is refused is refused alone, with its own status, code and fields', async (t) => {
  const refusals = [{ field: 'spec.hostPID', message: 'remove it' }]
  const server = await plugin(t, ['create.batch'], (body) =>
    uidIn(body) === uidOf(2)
      ? {
          error: { code: 'PLUGIN_REFUSED', message: 'no', session: 's', retry: false, refusals },
          status: 422
        }
      : outcome(body)
  )
  const client = clientOf(t, { url: server.url })
  const [first, second, third] = numbers(3).map((n) => client.create(request(uidOf(n)), { gather: true }))
  t.match(await failure(second!), { code: 'PLUGIN_REFUSED', status: 422, retry: 'no', details: { refusals } })
  t.equal((await first!).PodJID, `job-${uidOf(1)}`)
  t.equal((await third!).PodJID, `job-${uidOf(3)}`)
})

t.test('a server that takes no array gets one at a time, now and for a while', async (t) => {
  const server = await double(t, ({ json }, response) =>
    Array.isArray(json)
      ? answer(response, 'json: cannot unmarshal array into Go value', 500)
      : answer(response, created(json))
  )
  const client = clientOf(t, { url: server.url })
  const both = () => Promise.all(numbers(2).map((n) => client.create(request(uidOf(n)), { gather: true })))
  t.same(
    (await both()).map(({ PodUID }) => PodUID),
    [uidOf(1), uidOf(2)]
  )
  await both()
  t.same(creates(server), [2, 'alone', 'alone', 'alone', 'alone'])
})

t.test('a call that is lost is lost for all that are in it, with an outcome that nobody knows', async (t) => {
  const server = await double(t, (_call, response) => response.destroy())
  const client = clientOf(t, { url: server.url })
  const errors = await Promise.all(
    numbers(3).map((n) => failure(client.create(request(uidOf(n)), { gather: true })))
  )
  t.same(
    errors.map(({ code, retry }) => `${code} ${retry}`),
    Array(3).fill('IL_CONNECTION_LOST unknown-outcome')
  )
  t.equal(server.calls.length, 1)
})

t.test('answers that are too few, or are none, leave the outcome unknown', async (t) => {
  for (const body of [[{ created: { PodUID: 'x', PodJID: '1' } }], [{}, {}], { PodUID: 'x' }, 'done']) {
    const server = await double(t, (_call, response) => answer(response, body))
    const client = clientOf(t, { url: server.url })
    const errors = await Promise.all(
      numbers(2).map((n) => failure(client.create(request(uidOf(n)), { gather: true })))
    )
    for (const error of errors) t.match(error, { code: 'IL_INVALID_ANSWER', retry: 'unknown-outcome' })
  }
})

t.test('large pods, other nodes and traced calls do not share a call', async (t) => {
  const server = await plugin(t, ['create.batch'])
  const client = clientOf(t, { url: server.url })
  const large = (n: number) => {
    const one = request(uidOf(n))
    return { ...one, configmaps: [{ metadata: { name: 'app' }, data: { k: 'x'.repeat(700_000) } }] }
  }
  await Promise.all(numbers(3).map((n) => client.create(large(n), { gather: true })))
  await Promise.all(['a', 'b'].map((node) => client.create(request(), { gather: true, node })))
  const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }
  await Promise.all(numbers(2).map((n) => client.create(request(uidOf(n)), { gather: true, headers })))
  t.same(creates(server), Array(7).fill('alone'))
})

t.test('an API server hands several creates on to each plugin as the plugin takes them', async (t) => {
  const modern = await plugin(t, ['create.batch'])
  const plain = await plugin(t, [])
  const url = await serve(t, [], {
    plugins: [
      { name: 'modern', url: modern.url, nodes: ['vk'] },
      { name: 'plain', url: plain.url, nodes: ['old'] }
    ]
  })
  const client = clientOf(t, { url })
  for (const node of ['vk', 'old']) await client.ping({ node })
  const ofNode = (n: number, nodeName: string) => {
    const one = request(uidOf(n))
    return { ...one, pod: { ...one.pod, spec: { ...one.pod.spec, nodeName } } }
  }
  const calls = numbers(6).map((n) => client.create(ofNode(n, n % 2 ? 'vk' : 'old'), { gather: true }))
  const lost = failure(client.create(ofNode(7, 'nowhere'), { gather: true }))
  t.same(
    (await Promise.all(calls)).map(({ PodJID }) => PodJID),
    numbers(6).map((n) => `job-${uidOf(n)}`)
  )
  t.match(await lost, { code: 'IL_NO_PLUGIN', status: 421 })
  t.same(creates(modern), [3])
  t.same(creates(plain), ['alone', 'alone', 'alone'])
})
