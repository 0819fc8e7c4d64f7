import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import fastify from 'fastify'
import { pino } from 'pino'
import t from 'tap'
import type { KubeClient } from '@interlink-ts/vk-core/kube'
import { createKubeletServer } from '@interlink-ts/vk-core/kubelet'
import { createMetrics } from '@interlink-ts/interlink-api/telemetry'
import { eventually } from '../../../test/support/eventually.ts'
import { createSelfSigned } from '../src/kubelet/key-request.ts'
import { openServingCertificate } from '../src/kubelet/serving-certificate.ts'

t.test('the admin’s certificate is served anew when its files change, not while they do', async (t) => {
  const identity = { nodeName: 'a', hosts: ['127.0.0.1', 'a'] }
  const [before, after] = [await createSelfSigned(identity), await createSelfSigned(identity)]
  const directory = t.testdir({ 'tls.crt': before.cert, 'tls.key': before.key })
  const files = { certFile: join(directory, 'tls.crt'), keyFile: join(directory, 'tls.key') }
  const lines: string[] = []
  const told = (message: string) => eventually(() => lines.some((line) => line.includes(message)))
  const certificate = await openServingCertificate({
    identity,
    kube: {} as KubeClient,
    log: pino({}, { write: (line: string) => void lines.push(line) }),
    files,
    csr: true,
    signer: 'kubernetes.io/kubelet-serving',
    pollMs: 20
  })
  t.teardown(() => certificate.close())
  const server = createKubeletServer({
    pods: {
      list: () => [],
      get: () => undefined,
      logs: async () => Promise.reject(new Error('no log')),
      stream: async () => Promise.reject(new Error('no stream')),
      usage: async () => [],
      measures: () => false,
      backendOf: () => ({ capabilities: new Set(), hasAnswered: true })
    },
    nodeNames: ['a'],
    kube: { create: async () => Promise.reject(new Error('no API')) },
    clientCa: { pem: undefined },
    certificate,
    metrics: createMetrics('test'),
    log: fastify().log
  })
  t.teardown(() => server.close())
  const port = await server.listen('127.0.0.1', 0)
  const served = async () => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    const { fingerprint256 } = socket.getPeerCertificate()
    socket.destroy()
    return fingerprint256
  }
  const printOf = ({ cert }: { cert: string }) => new X509Certificate(cert).fingerprint256

  t.equal(await served(), printOf(before))
  writeFileSync(files.certFile, after.cert)
  await told('serving certificate changed and cannot be used')
  server.refreshTrust()
  t.equal(await served(), printOf(before), 'half a change is not served, even when the trust changes')
  writeFileSync(files.keyFile, after.key)
  await told('serving certificate read again')
  t.equal(await served(), printOf(after))
})
