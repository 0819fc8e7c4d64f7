import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { eventually } from '../../../test/support/eventually.ts'
import { followTlsFiles } from '../src/client/index.ts'
import { startApi } from '../src/server/start.ts'
import { makeCertificates, type Certificates } from './certificates.ts'
import { clientOf, double } from './helpers.ts'
import { answer } from './plugin-double.ts'

const put = (from: Certificates, directory: string, ...names: string[]) => {
  mkdirSync(directory, { recursive: true })
  for (const name of names) copyFileSync(from.path(name), join(directory, name))
}

t.test('certificates and authorities that change on disk are taken up without a restart', async (t) => {
  const before = makeCertificates()
  const after = makeCertificates()
  const served = join(t.testdir({}), 'served')
  put(before, served, 'server.crt', 'server.key', 'ca.crt')
  const lines: string[] = []
  const told = (message: string) => eventually(() => lines.some((line) => line.includes(message)))
  const plugin = await double(t, (_call, response) => answer(response, { status: 'ok' }))
  const api = await startApi(
    {
      listen: 'https://127.0.0.1:0',
      plugins: [{ name: 'p', url: plugin.url }],
      tls: {
        certFile: join(served, 'server.crt'),
        keyFile: join(served, 'server.key'),
        clientCaFile: join(served, 'ca.crt')
      }
    },
    { logger: pino({}, { write: (line: string) => void lines.push(line) }), tlsPollMs: 20 }
  )
  t.teardown(() => api.close())
  const ping = (authority: Certificates, own: Certificates) =>
    clientOf(t, {
      url: api.url,
      tls: { ca: authority.read('ca.crt'), cert: own.read('client.crt'), key: own.read('client.key') }
    }).ping()
  const open = clientOf(t, {
    url: api.url,
    tls: { ca: before.read('ca.crt'), cert: before.read('client.crt'), key: before.read('client.key') }
  })
  t.equal((await open.ping()).ok, true)

  put(after, served, 'server.crt')
  await told('TLS files changed and cannot be used')
  t.equal((await ping(before, before)).ok, true, 'a certificate without its key changes nothing')

  put(after, served, 'server.key', 'ca.crt')
  await told('TLS files read again')
  await eventually(async () => (await ping(after, after)).ok)
  t.equal((await open.ping()).ok, true, 'an open connection goes on')
  await t.rejects(ping(before, before), 'the old certificate is served no more')
  t.equal((await ping(after, before)).status, 401, 'the old authority is trusted no more')

  const held = join(t.testdirName, 'held')
  put(before, held, 'ca.crt', 'client.crt', 'client.key')
  const follower = clientOf(t, { url: api.url })
  const files = {
    caFile: join(held, 'ca.crt'),
    certFile: join(held, 'client.crt'),
    keyFile: join(held, 'client.key')
  }
  t.teardown(await followTlsFiles(follower, files, 'tls', { everyMs: 20, onError: () => undefined }))
  await t.rejects(follower.ping())
  put(after, held, 'ca.crt', 'client.crt', 'client.key')
  await eventually(async () => (await follower.ping()).ok)
  t.pass('a client takes up what its files hold')
})

t.test('a missing file of a client is named with its key', async (t) => {
  const client = clientOf(t, { url: 'https://127.0.0.1:1' })
  await t.rejects(
    followTlsFiles(client, { caFile: '/nowhere/ca.crt' }, 'plugins.tls', { onError: () => undefined }),
    {
      code: 'IL_CONFIG',
      message: 'plugins.tls.caFile: /nowhere/ca.crt cannot be read: there is no such file'
    }
  )
})
