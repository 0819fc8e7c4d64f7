import http from 'node:http'
import https from 'node:https'
import { writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose'
import { pino } from 'pino'
import t from 'tap'
import { startApi } from '../src/server/start.ts'
import { makeCertificates } from './certificates.ts'
import { clientOf, double, raw, request, serve, type Ending } from './helpers.ts'
import { answer, podOf, uidOf } from './plugin-double.ts'

const plugin = (t: Ending) => double(t, (_call, response) => answer(response, { status: 'ok' }))
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

t.test(
  'with a token file, its tokens are let in, also after the file has changed; nobody else is',
  async (t) => {
    const tokenFile = join(t.testdir(), 'tokens')
    writeFileSync(tokenFile, '# old and new\nfirst\nsecond\n')
    const url = await serve(t, [await plugin(t)], { auth: { tokenFile } })
    const status = async (headers = {}) => (await raw(url, 'POST', '/pinglink', '', headers)).status
    t.equal(await status(bearer('first')), 200)
    t.equal(await status(bearer('second')), 200)
    t.equal(await status(bearer('third')), 401)
    t.equal(await status(bearer('firs')), 401)
    t.equal(await status({ authorization: 'Basic Zmlyc3Q=' }), 401)
    t.equal(await status(), 401)
    writeFileSync(tokenFile, 'third-token\n')
    t.equal(await status(bearer('third-token')), 200)
    t.equal(await status(bearer('first')), 401)
    const refused = await raw(url, 'POST', '/pinglink', '', bearer('hunter2'))
    t.match(JSON.parse(refused.body), { code: 'IL_UNAUTHENTICATED', retry: false })
    t.notMatch(refused.body, 'hunter2')
    t.equal(refused.headers['www-authenticate'], 'Bearer')
  }
)

t.test('only health and the document of the interface are open; every other route asks', async (t) => {
  const tokenFile = join(t.testdir({ token: 'x\n' }), 'token')
  const url = await serve(t, [await plugin(t)], { auth: { tokenFile } })
  for (const path of ['/healthz', '/readyz', '/openapi.json'])
    t.equal((await raw(url, 'GET', path)).status, 200, path)
  const { paths } = JSON.parse((await raw(url, 'GET', '/openapi.json')).body) as {
    paths: Record<string, object>
  }
  for (const [path, methods] of Object.entries(paths).filter(
    ([path]) => !['/healthz', '/readyz', '/openapi.json'].includes(path)
  ))
    for (const method of Object.keys(methods))
      t.equal((await raw(url, method.toUpperCase(), path)).status, 401, `${method} ${path}`)
})

async function issuer(t: Ending) {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' }
  let asked = 0
  const server = http.createServer((req, res) => {
    asked++
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const body = req.url === '/keys' ? { keys: [jwk] } : { issuer: url, jwks_uri: `${url}/keys` }
    res.setHeader('content-type', 'application/json').end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close().closeAllConnections())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const sign = (claims: JWTPayload, key = privateKey) =>
    new SignJWT({ iss: url, aud: 'interlink', groups: ['users', 'nodes'], ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
      .setIssuedAt()
      .setExpirationTime('exp' in claims ? claims.exp! : '1h')
      .sign(key)
  return { url, sign, asked: () => asked }
}

t.test('with OIDC, tokens of the issuer for this audience are let in and its keys are kept', async (t) => {
  const { url: iss, sign, asked } = await issuer(t)
  const { privateKey: forged } = await generateKeyPair('ES256')
  const url = await serve(t, [await plugin(t)], {
    auth: { oidc: { issuer: iss, audience: 'interlink', groups: ['nodes'], groupsClaim: 'groups' } }
  })
  const status = async (token: string) => (await raw(url, 'POST', '/pinglink', '', bearer(token))).status
  t.equal(await status(await sign({})), 200)
  t.equal(await status(await sign({ aud: ['other', 'interlink'] })), 200)
  t.equal(await status(await sign({ aud: 'other' })), 401, 'another audience')
  t.equal(await status(await sign({ iss: 'http://elsewhere' })), 401, 'another issuer')
  t.equal(await status(await sign({ exp: 1000 })), 401, 'expired')
  t.equal(await status(await sign({}, forged)), 401, "a key that is not the issuer's")
  t.equal(await status('hunter2'), 401, 'no token at all')
  t.equal(await status(await sign({ groups: ['users'] })), 403, 'in none of the groups')
  t.equal(asked(), 2, 'the issuer was asked once for its configuration and once for its keys')
})

t.test("an issuer that is down is not the caller's fault, and a later call asks again", async (t) => {
  const url = await serve(t, [await plugin(t)], {
    auth: { oidc: { issuer: 'http://127.0.0.1:1', audience: 'a', groupsClaim: 'groups' } }
  })
  const { status, body } = await raw(url, 'POST', '/pinglink', '', bearer('a.b.c'))
  t.equal(status, 503)
  t.match(JSON.parse(body), { code: 'IL_UNREACHABLE', retry: true })
})

t.test('with a client authority, its certificates are let in and health stays open', async (t) => {
  const certs = makeCertificates()
  const tls = {
    certFile: certs.path('server.crt'),
    keyFile: certs.path('server.key'),
    clientCaFile: certs.path('ca.crt')
  }
  const url = await serve(t, [await plugin(t)], { listen: 'https://127.0.0.1:0', tls })
  const ca = certs.read('ca.crt')
  t.match(url, /^https:/)
  const mine = clientOf(t, {
    url,
    tls: { ca, cert: certs.read('client.crt'), key: certs.read('client.key') }
  })
  t.equal((await mine.ping()).ok, true)
  const nobody = await clientOf(t, { url, tls: { ca } }).ping()
  t.equal(nobody.status, 401)
  const stranger = await clientOf(t, {
    url,
    tls: { ca, cert: certs.read('stranger.crt'), key: certs.read('stranger.key') }
  }).ping()
  t.equal(stranger.status, 401)
  const health = await new Promise<number>((resolve, reject) =>
    https
      .get(new URL('/healthz', url), { ca }, (res) => resolve(res.resume().statusCode!))
      .on('error', reject)
  )
  t.equal(health, 200)
  await t.rejects(
    new Promise((resolve, reject) =>
      https.get(new URL('/healthz', url), { ca, maxVersion: 'TLSv1.1' }, resolve).on('error', reject)
    ),
    'TLS before 1.2 is refused'
  )
})

t.test('a public address without authentication is not served unless somebody says insecure', async (t) => {
  const plugins = [{ name: 'p', url: 'http://127.0.0.1:1' }]
  await t.rejects(startApi({ listen: 'http://0.0.0.0:0', plugins }), {
    code: 'IL_CONFIG',
    message: /auth\.tokenFile, auth\.oidc or tls\.clientCaFile/
  })
  await t.rejects(startApi({ listen: 'http://[::]:0', plugins }), { code: 'IL_CONFIG' })
  for (const config of [
    { listen: 'http://0.0.0.0:0', insecure: true },
    { listen: 'http://0.0.0.0:0', auth: { tokenFile: join(t.testdir({ token: 'x' }), 'token') } },
    { listen: 'http://localhost:0' }
  ]) {
    const api = await startApi({ ...config, plugins })
    await api.close()
  }
})

t.test('no token, secret or body reaches the log', async (t) => {
  const lines: string[] = []
  const logger = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) })
  const tokenFile = join(t.testdir({ token: 'hunter2-token\n' }), 'token')
  const double1 = await double(t, (_call, response) =>
    answer(response, { PodUID: uidOf(1), PodJID: '1', echo: 'hunter2' })
  )
  const failing = await double(t, (_call, response) => response.writeHead(500).end('hunter2 cannot be used'))
  const api = await startApi(
    {
      listen: 'http://127.0.0.1:0',
      auth: { tokenFile },
      plugins: [
        { name: 'a', url: double1.url, nodes: ['vk'] },
        { name: 'b', url: failing.url, nodes: ['other'] }
      ]
    },
    { logger }
  )
  t.teardown(() => api.close())
  const client = clientOf(t, { url: api.url, token: async () => 'hunter2-token' })
  const secret = { ...request(), secrets: [{ metadata: { name: 'pass' }, data: { p: 'hunter2' } }] }
  await client.create(secret)
  await client
    .create({ ...secret, pod: { ...secret.pod, spec: { ...secret.pod.spec, nodeName: 'other' } } })
    .catch(() => undefined)
  await raw(api.url, 'POST', '/create', '{hunter2', bearer('hunter2-token'))
  await raw(api.url, 'POST', '/create', '{}', bearer('hunter2-wrong'))
  await client.delete(podOf({ uid: uidOf(1) }))
  t.ok(lines.length > 4)
  t.notMatch(lines.join(''), 'hunter2')
})
