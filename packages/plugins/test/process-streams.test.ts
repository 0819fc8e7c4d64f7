import t from 'tap'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { createInterlinkClient } from '@interlink-ts/interlink-api/client'
import { startApi } from '@interlink-ts/interlink-api/server'
import { makeCertificates } from '../../interlink-api/test/certificates.ts'
import { startSite } from './support-process.ts'

t.test('streams are guarded on each hop, by certificates and tokens', async (t) => {
  const pki = makeCertificates()
  const tokens = { api: 'of-the-api', plugin: 'of-the-plugin', stale: 'of-yesterday' }
  for (const [name, token] of Object.entries(tokens)) await writeFile(pki.path(`${name}.token`), token)
  const site = await startSite(t, { tokenFile: pki.path('plugin.token') })
  const pod = await site.run({ containers: [site.shell('sleep 1000')] })
  await pod.running()
  const behind = async (pluginToken: string) => {
    const api = await startApi(
      {
        listen: 'https://127.0.0.1:0',
        tls: {
          certFile: pki.path('server.crt'),
          keyFile: pki.path('server.key'),
          clientCaFile: pki.path('ca.crt')
        },
        auth: { tokenFile: pki.path('api.token') },
        plugins: [
          {
            name: 'process',
            url: `unix://${join(site.dir, 'plugin.sock')}`,
            tokenFile: pki.path(`${pluginToken}.token`)
          }
        ]
      },
      { logger: pino({ level: 'silent' }) }
    )
    t.teardown(() => api.close())
    return api.url
  }
  const opens = async (url: string, tls: { cert?: string; key?: string }, token: string) => {
    const client = createInterlinkClient({
      url,
      nodeName: 'conformance',
      tls: { ca: pki.read('ca.crt'), ...tls },
      token: async () => token
    })
    try {
      const session = await client.stream(pod.uid, {
        ...{ kind: 'exec', container: 'main', command: ['echo', 'in'] },
        ...{ stdin: false, tty: false }
      })
      const said = Buffer.concat(await session.output.toArray()).toString()
      return `${said}${(await session.status).status}`
    } catch (error) {
      return (error as { code: string }).code
    } finally {
      await client.close()
    }
  }
  const known = { cert: pki.read('client.crt'), key: pki.read('client.key') }
  const url = await behind('plugin')
  const stranger = { cert: pki.read('stranger.crt'), key: pki.read('stranger.key') }
  t.equal(await opens(url, known, 'guessed'), 'in\nSuccess', 'a certificate of the authority is enough')
  t.equal(await opens(url, {}, tokens.api), 'in\nSuccess', 'and so is the token')
  t.equal(await opens(url, {}, 'guessed'), 'IL_UNAUTHENTICATED')
  t.equal(await opens(url, stranger, 'guessed'), 'IL_UNAUTHENTICATED')
  t.not(await opens(await behind('stale'), known, tokens.api), 'in\nSuccess', 'the plugin asks for its own')
})
