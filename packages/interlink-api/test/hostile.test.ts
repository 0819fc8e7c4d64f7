import net from 'node:net'
import t from 'tap'
import { startApi, type StartApiOptions } from '../src/server/start.ts'
import { double, type Ending } from './helpers.ts'
import { answer } from './plugin-double.ts'

const uid = '00000000-0000-4000-8000-000000000000'

async function door(t: Ending, options: StartApiOptions = {}) {
  const plugin = await double(t, (_call, response) => answer(response, []))
  const api = await startApi(
    { listen: 'http://127.0.0.1:0', plugins: [{ name: 'p', url: plugin.url }] },
    options
  )
  t.teardown(() => api.close())
  const port = Number(new URL(api.url).port)
  /** Everything that comes back until the server ends the connection. */
  const send = (bytes: string) =>
    new Promise<{ status: number; body: string }>((resolve) => {
      let text = ''
      const socket = net.connect(port, '127.0.0.1')
      socket.setEncoding('utf8')
      socket.on('data', (chunk: string) => (text += chunk))
      // A server that refuses a body need not read it to its end.
      socket.on('error', () => undefined)
      socket.on('close', () =>
        resolve({
          status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0),
          body: text.slice(text.indexOf('\r\n\r\n') + 4)
        })
      )
      socket.write(bytes)
    })
  const call = (method: string, path: string, body = '', headers = '') =>
    send(
      `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
    )
  return { plugin, send, call, api }
}

t.test('whatever is sent, the answer says what is wrong, and the server lives', async (t) => {
  const { plugin, send, call, api } = await door(t)
  const deep = (open: string, close: string, levels: number) =>
    open.repeat(levels) + '1' + close.repeat(levels)
  const status = (more = '') => `[{"metadata":{"name":"a","namespace":"b","uid":"${uid}"${more}}}]`
  const logs = (opts: string) =>
    `{"Namespace":"a","PodUID":"${uid}","PodName":"a","ContainerName":"c","Opts":{${opts}}}`
  const large = 'x'.repeat(5 * 1024 * 1024)
  const cases: [string, Promise<{ status: number; body: string }>, number, RegExp][] = [
    ['half a document', call('POST', '/create', '{"pod":'), 400, /IL_MALFORMED_JSON/],
    ['100 000 arrays', call('POST', '/create', deep('[', ']', 100_000)), 400, /at most 100 levels/],
    ['100 000 objects', call('POST', '/create', deep('{"a":', '}', 100_000)), 400, /at most 100 levels/],
    [
      '100 000 levels inside of a pod',
      call('POST', '/create', `{"pod":{"metadata":{},"spec":{"x":${deep('[', ']', 100_000)}}}}`),
      400,
      /at most 100 levels/
    ],
    ['a million open brackets', call('POST', '/status', '['.repeat(1_000_000)), 400, /IL_MALFORMED_JSON/],
    ['5 MiB', call('POST', '/create', large), 413, /IL_BODY_TOO_LARGE.*bodyLimit/],
    [
      '5 MiB in chunks',
      send(
        'POST /create HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n' +
          `${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`
      ),
      413,
      /IL_BODY_TOO_LARGE/
    ],
    ['an XML type', call('POST', '/status', status(), 'Content-Type: text/xml\r\n'), 200, /^\[\]/],
    [
      'a type that is none',
      call('POST', '/status', status(), 'Content-Type: ;;;\r\n'),
      415,
      /Content-Type: expected application/
    ],
    [
      'two lengths',
      send('POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]'),
      400,
      /"code":"IL_/
    ],
    [
      'a length and chunks',
      send(
        'POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
      ),
      400,
      /"code":"IL_/
    ],
    [
      'two sessions',
      call('POST', '/status', status(), 'InterLink-Http-Session: a\r\nInterLink-Http-Session: b\r\n'),
      200,
      /^\[\]/
    ],
    [
      'two nodes',
      call('POST', '/status', status(), 'InterLink-Node: a\r\nInterLink-Node: b\r\n'),
      200,
      /^\[\]/
    ],
    ['no request', send('\x16\x03\x01\x02\r\n\r\n'), 400, /"code":"IL_/],
    [
      'a header of 100 000 bytes',
      call('GET', '/healthz', '', `X: ${'a'.repeat(100_000)}\r\n`),
      431,
      /"code":"IL_/
    ],
    ['a query of 10 000 bytes', call('GET', `/getLogs?node=${'a'.repeat(10_000)}`), 400, /IL_/],
    ['a node that is a list', call('POST', '/status?node=a&node=b', status()), 200, /^\[\]/],
    ['an unknown route', call('GET', '/nothing'), 404, /IL_ROUTE_NOT_FOUND.*GET \/nothing/],
    ['HEAD', call('HEAD', '/healthz'), 404, /^$/],
    ['OPTIONS', call('OPTIONS', '/create'), 404, /IL_ROUTE_NOT_FOUND/],
    ['TRACE', call('TRACE', '/create'), 404, /IL_ROUTE_NOT_FOUND/],
    ['PUT', call('PUT', '/create', '{}'), 404, /IL_ROUTE_NOT_FOUND/],
    ['a path that climbs', call('GET', '/../../etc/passwd'), 404, /IL_ROUTE_NOT_FOUND/],
    ['a path that climbs in disguise', call('GET', '/%2e%2e/%2e%2e/etc/passwd'), 404, /IL_ROUTE_NOT_FOUND/],
    ['a path that is no text', call('GET', '/%zz'), 400, /"code":"IL_/],
    ['a prototype', call('POST', '/status', status(',"__proto__":{"x":1}')), 200, /^\[\]/],
    [
      'a UID that is an object',
      call('POST', '/status', '[{"metadata":{"name":"a","namespace":"b","uid":{}}}]'),
      400,
      /\[0\]\.metadata\.uid: expected string, found an object/
    ],
    ['a negative tail', call('POST', '/getLogs', logs('"Tail":-1')), 400, /Opts\.Tail: expected no negative/],
    ['a huge tail', call('POST', '/getLogs', logs('"Tail":1e300')), 400, /Opts\.Tail: expected/],
    ['half a line', call('POST', '/getLogs', logs('"Tail":1.5')), 400, /Opts\.Tail: expected/],
    [
      'a namespace that climbs',
      call('POST', '/getLogs', logs('"Tail":1').replace('"a"', '"../.."')),
      400,
      /Namespace: expected a DNS label/
    ]
  ]
  for (const [name, answered, code, words] of cases) {
    const { status, body } = await answered
    t.equal(status, code, `${name}: ${body.slice(0, 200)}`)
    t.match(body, words, name)
    t.notMatch(body, /node_modules|\.ts:\d/, 'no stack')
  }
  t.equal((await fetch(`${api.url}/healthz`)).status, 200)
  t.ok(plugin.calls.every(({ path }) => path === '/status'))
})

t.test('a request that never ends is ended, head or body', async (t) => {
  const { send, api } = await door(t, { requestTimeoutMs: 200 })
  for (const half of [
    'POST /create HTTP/1.1\r\nHost: x\r\n',
    'POST /create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{'
  ]) {
    const { status, body } = await send(half)
    t.equal(status, 408)
    t.match(JSON.parse(body), { code: 'IL_REFUSED', message: /did not arrive in time/ })
  }
  t.equal((await fetch(`${api.url}/healthz`)).status, 200)
})
