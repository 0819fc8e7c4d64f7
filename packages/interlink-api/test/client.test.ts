import http from 'node:http'
import https from 'node:https'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createServer, type AddressInfo } from 'node:net'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import t from 'tap'
import { createInterlinkClient } from '../src/client/client.ts'
import { InterlinkError } from '../src/errors.ts'
import type { WatchEvent } from '../src/wire/index.ts'
import { makeCertificates } from './certificates.ts'
import { clientOf, double, request } from './helpers.ts'
import { answer, podOf, statusOf, uidOf } from './plugin-double.ts'

const failure = (call: Promise<unknown>): Promise<InterlinkError> =>
  call.then(
    () => t.fail('it should have failed') as never,
    (error: InterlinkError) => error
  )

t.test(
  'a node deletes with DELETE and pings by POST /pinglink; an API server by POST and by /status of nothing',
  async (t) => {
    const server = await double(t, (_call, response) => answer(response, { status: 'ok' }))
    const calls = () =>
      server.calls.splice(0).map(({ method, path, body }) => `${method} ${path} ${body.slice(0, 2)}`)
    const node = clientOf(t, { url: server.url })
    await node.delete(podOf({ uid: uidOf(1) }))
    await node.ping()
    t.same(calls(), ['DELETE /delete {"', 'POST /pinglink '])
    const api = clientOf(t, { url: server.url, verbs: 'plugin' })
    await api.delete(podOf({ uid: uidOf(1) }))
    await api.ping()
    t.same(calls(), ['POST /delete {"', 'GET /status []'])
  }
)

t.test(
  'every call names its session, its node and its token, and a GET says how long its body is',
  async (t) => {
    const server = await double(t, (_call, response) => answer(response, [statusOf(uidOf(1))]))
    let token = 'first'
    const client = clientOf(t, { url: server.url, nodeName: 'vk-1', token: async () => token })
    await client.status([podOf({ uid: uidOf(1) })])
    token = 'second'
    await client.status([podOf({ uid: uidOf(1) })], { session: 'GetStatus#4', node: 'vk-2' })
    const [first, second] = server.calls
    t.equal(first!.method, 'GET')
    t.equal(Number(first!.headers['content-length']), Buffer.byteLength(first!.body))
    t.match(first!.headers, {
      'interlink-http-session': /^GetStatus#\d+$/,
      'interlink-node': 'vk-1',
      authorization: 'Bearer first'
    })
    t.match(second!.headers, {
      'interlink-http-session': 'GetStatus#4',
      'interlink-node': 'vk-2',
      authorization: 'Bearer second'
    })
  }
)

t.test('an empty token sends no Authorization', async (t) => {
  const server = await double(t, (_call, response) => answer(response, {}))
  await clientOf(t, { url: server.url, token: async () => '' }).ping()
  t.equal(server.calls[0]!.headers.authorization, undefined)
})

t.test('calls share a kept-alive connection', async (t) => {
  const ports = new Set<number>()
  const server = await double(t, (_call, response, request) => {
    ports.add(request.socket.remotePort!)
    answer(response, {})
  })
  const client = clientOf(t, { url: server.url })
  for (let n = 0; n < 5; n++) await client.ping()
  t.equal(ports.size, 1)
})

t.test(
  'a connection that the server closed while idle is no failure of a call that may be repeated',
  async (t) => {
    let drop = false
    const server = http.createServer((req, res) => {
      if (drop) {
        drop = false
        return req.socket.resetAndDestroy()
      }
      res.end('{}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => server.close().closeAllConnections())
    const client = clientOf(t, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
    await client.ping()
    drop = true
    t.equal((await client.ping()).ok, true, 'asked again on a new connection')
    drop = true
    t.match(
      await failure(client.create(request())),
      { code: 'IL_CONNECTION_LOST', retry: 'unknown-outcome' },
      'a create is not'
    )
  }
)

t.test('where nobody listens, nothing was submitted; where nobody answers, nobody knows', async (t) => {
  const nobody = createServer()
  await new Promise<void>((resolve) => nobody.listen(0, '127.0.0.1', resolve))
  const { port } = nobody.address() as AddressInfo
  await new Promise((resolve) => nobody.close(resolve))
  t.match(await failure(clientOf(t, { url: `http://127.0.0.1:${port}` }).create(request())), {
    code: 'IL_UNREACHABLE',
    retry: 'yes'
  })
  t.match(await failure(clientOf(t, { url: 'unix:///nowhere/at/all.sock' }).create(request())), {
    code: 'IL_UNREACHABLE',
    retry: 'yes'
  })
  const silent = await double(t, () => {})
  t.match(await failure(clientOf(t, { url: silent.url, timeoutMs: 100 }).create(request())), {
    code: 'IL_TIMEOUT',
    retry: 'unknown-outcome'
  })
  const halting = await double(t, (_call, response) => {
    response.writeHead(200)
    response.write('{"PodUID":')
  })
  t.match(await failure(clientOf(t, { url: halting.url, timeoutMs: 100 }).create(request())), {
    code: 'IL_TIMEOUT',
    retry: 'unknown-outcome'
  })
  const dying = await double(t, (_call, response) => response.socket!.destroy())
  t.match(await failure(clientOf(t, { url: dying.url }).create(request())), {
    code: 'IL_CONNECTION_LOST',
    retry: 'unknown-outcome'
  })
})

t.test('answers of a server that is not ours keep its status and its words', async (t) => {
  const said = await double(t, ({ path }, response) =>
    path === '/create'
      ? response
          .writeHead(500)
          .end('HTTP InterLink session CreatePod#1:  call exit status: 500. Body: no space')
      : response.writeHead(403).end('nope')
  )
  const client = clientOf(t, { url: said.url })
  t.match(await failure(client.create(request())), {
    code: 'IL_FAILED',
    status: 500,
    retry: 'unknown-outcome',
    message: /no space/
  })
  t.match(await failure(client.delete(podOf({ uid: uidOf(1) }))), {
    code: 'IL_REFUSED',
    status: 403,
    retry: 'no',
    message: /nope/
  })
})

t.test('an answer that is no message is an error that does not say "done"', async (t) => {
  const server = await double(t, (_call, response) => response.end('<html>hello</html>'))
  t.match(await failure(clientOf(t, { url: server.url }).create(request())), {
    code: 'IL_INVALID_ANSWER',
    retry: 'unknown-outcome'
  })
})

t.test('an aborted call ends at once and says so', async (t) => {
  const server = await double(t, () => {})
  const abort = new AbortController()
  const call = clientOf(t, { url: server.url }).status([podOf({ uid: uidOf(1) })], { signal: abort.signal })
  abort.abort()
  t.match(await failure(call), { code: 'IL_ABORTED' })
  t.match(await failure(clientOf(t, { url: server.url }).ping({ signal: AbortSignal.abort() })), {
    code: 'IL_ABORTED'
  })
})

t.test('an url of another scheme is refused with the schemes that work', async (t) => {
  for (const url of ['ftp://x', 'nonsense', 'unix://relative'])
    t.throws(() => createInterlinkClient({ url }), {
      code: 'IL_CONFIG',
      message: /http:\/\/host:port, https:\/\/host:port or unix:/
    })
})

t.test('a path in the URL comes before every route', async (t) => {
  const server = await double(t, (_call, response) => answer(response, {}))
  await clientOf(t, { url: `${server.url}/site/a/` }).ping()
  t.equal(server.calls[0]!.path, '/site/a/pinglink')
})

t.test('over a unix socket', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'ilapi-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const path = join(dir, 'plugin.sock')
  await double(t, (_call, response) => answer(response, { PodUID: uidOf(1), PodJID: '1' }), { path })
  t.ok(existsSync(path) && statSync(path).isSocket())
  t.equal((await clientOf(t, { url: `unix://${path}` }).create(request())).PodJID, '1')
})

t.test('over TLS with a client certificate; a stranger on either side is refused', async (t) => {
  const certs = makeCertificates()
  const server = https.createServer(
    {
      cert: certs.read('server.crt'),
      key: certs.read('server.key'),
      ca: certs.read('ca.crt'),
      requestCert: true,
      rejectUnauthorized: true
    },
    (_req, res) => res.end('{"status":"ok"}')
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close().closeAllConnections())
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const mine = { cert: certs.read('client.crt'), key: certs.read('client.key') }
  t.equal((await clientOf(t, { url, tls: { ...mine, ca: certs.read('ca.crt') } }).ping()).ok, true)
  const der = new X509Certificate(certs.read('ca.crt')).raw
  t.equal((await clientOf(t, { url, tls: { ...mine, ca: der } }).ping()).ok, true, 'the authority may be DER')
  t.equal((await clientOf(t, { url, tls: { ...mine, insecure: true } }).ping()).ok, true)
  t.match(
    await failure(clientOf(t, { url, tls: mine }).ping()),
    { code: 'IL_UNREACHABLE', retry: 'yes' },
    'an unknown authority'
  )
  const stranger = {
    cert: certs.read('stranger.crt'),
    key: certs.read('stranger.key'),
    ca: certs.read('ca.crt')
  }
  t.ok((await failure(clientOf(t, { url, tls: stranger }).ping())) instanceof InterlinkError)
})

async function take(events: AsyncIterable<WatchEvent>): Promise<WatchEvent[]> {
  const all: WatchEvent[] = []
  for await (const event of events) all.push(event)
  return all
}

t.test('a watch is read line by line, however the lines are cut', async (t) => {
  const lines = [
    { type: 'reset' },
    { type: 'status', cursor: '1', status: { ...statusOf(uidOf(1)), message: 'längs' } },
    { type: 'bookmark', cursor: '1' },
    { type: 'gone', cursor: '2', UID: uidOf(1) }
  ]
  const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  const server = await double(t, async (_call, response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    for (let at = 0; at < bytes.length; at += 7) {
      response.write(bytes.subarray(at, at + 7))
      if (at % 70 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    response.end()
  })
  const events = await take(clientOf(t, { url: server.url, nodeName: 'a b' }).watch({ cursor: 'x/1' }))
  t.equal(server.calls[0]!.path, '/watch?node=a+b&cursor=x%2F1')
  t.same(
    events.map(({ type }) => type),
    ['reset', 'status', 'bookmark', 'gone']
  )
  t.match(events[1], { status: { message: 'längs', initContainers: [] } })
})

t.test('a watch that is silent, lost, not offered or not understood is an error of its own', async (t) => {
  const silent = await double(t, (_call, response) => {
    response.writeHead(200)
    response.write('{"type":"reset"}\n')
  })
  t.match(await failure(take(clientOf(t, { url: silent.url, watchSilenceMs: 100 }).watch())), {
    code: 'IL_WATCH_SILENT',
    retry: 'yes'
  })
  const lost = await double(t, (_call, response) => {
    response.writeHead(200)
    response.write('{"type":"reset"}\n', () => response.destroy())
  })
  t.match(await failure(take(clientOf(t, { url: lost.url }).watch())), { code: 'IL_CONNECTION_LOST' })
  const garbage = await double(t, (_call, response) => response.end('hunter2\n'))
  const error = await failure(take(clientOf(t, { url: garbage.url }).watch()))
  t.equal(error.code, 'IL_INVALID_ANSWER')
  t.notMatch(error.message, 'hunter2')
  const none = await double(t, (_call, response) => response.writeHead(404).end('404 page not found'))
  t.match(await failure(take(clientOf(t, { url: none.url }).watch())), { status: 404, retry: 'no' })
})

t.test('a consumer that is slower than the silence limit keeps its watch', async (t) => {
  const server = await double(t, (_call, response) => {
    response.writeHead(200)
    for (let n = 0; n < 3; n++) response.write(`{"type":"bookmark","cursor":"${n}"}\n`)
    response.end()
  })
  let seen = 0
  for await (const _event of clientOf(t, { url: server.url, watchSilenceMs: 60 }).watch()) {
    seen++
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  t.equal(seen, 3)
})

t.test('a watch that its consumer leaves is closed at the server', async (t) => {
  const closed = new Promise<void>((resolve) => {
    void double(t, (_call, response) => {
      response.writeHead(200)
      response.write('{"type":"reset"}\n')
      response.on('close', resolve)
    }).then(async (server) => {
      for await (const _event of clientOf(t, { url: server.url }).watch()) break
    })
  })
  await closed
  t.pass('closed')
})
