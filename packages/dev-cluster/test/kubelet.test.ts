import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { IncomingMessage, ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { createPki } from '../src/pki.ts'
import { devCluster, withoutKubectl, node, pod, podsPath, until, type Fixture } from './support.ts'

/** The kubelet port of a node: TLS, and a client certificate of the cluster's CA or 401. */
async function kubelet(
  t: Test,
  { ca, api }: Fixture,
  answer: (request: IncomingMessage, response: ServerResponse) => void
): Promise<void> {
  const { server: pair } = await createPki('127.0.0.1')
  const server: Server = createServer(
    { ...pair, ca, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const socket = request.socket as TLSSocket
      if (socket.authorized && socket.getPeerCertificate().subject.O === 'system:masters')
        return answer(request, response)
      response.writeHead(401).end('who are you')
    }
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port: Port } = server.address() as AddressInfo
  const status = {
    addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
    daemonEndpoints: { kubeletEndpoint: { Port } }
  }
  await api('POST', '/api/v1/nodes', node('n1', { status }))
  await api('POST', podsPath, pod('p', { nodeName: 'n1' }))
}

void t.test('a log comes from the node, with every flag', { skip: withoutKubectl }, async (t) => {
  const fixture = await devCluster(t)
  const asked: string[] = []
  await kubelet(t, fixture, (request, response) => {
    asked.push(request.url!)
    response.end('line\n')
  })
  const { stdout } = await fixture.kubectl(
    'logs p --tail=5 --timestamps --since=10s --limit-bytes=99 --previous'
  )
  t.equal(stdout, 'line\n')
  const url = new URL(asked[0]!, 'https://node')
  t.equal(url.pathname, '/containerLogs/default/p/main')
  t.same(Object.fromEntries(url.searchParams), {
    tailLines: '5',
    timestamps: 'true',
    sinceSeconds: '10',
    limitBytes: '99',
    previous: 'true'
  })
})

void t.test(
  'a followed log streams as it is written, and the node learns that the reader has gone',
  async (t) => {
    const fixture = await devCluster(t)
    let gone = false
    let response: ServerResponse | undefined
    await kubelet(t, fixture, (_request, opened) => {
      response = opened
      opened.writeHead(200, { 'content-type': 'text/plain' }).flushHeaders()
      opened.once('close', () => (gone = true))
    })
    const { ca, cluster } = fixture
    const { request } = await import('node:https')
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      request(
        `${cluster.url}${podsPath}/p/log?follow=true`,
        { ca, headers: { authorization: `Bearer ${cluster.token}` } },
        resolve
      )
        .once('error', reject)
        .end()
    })
    let text = ''
    answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    answer.on('error', () => {})
    response!.write('one\n')
    await until(() => text === 'one\n')
    response!.write('two\n')
    await until(() => text === 'one\ntwo\n')
    answer.destroy()
    await until(() => gone)
  }
)

void t.test('what the node refuses reaches the caller in its words', async (t) => {
  const fixture = await devCluster(t)
  await kubelet(t, fixture, (_request, response) => {
    response.writeHead(400).end('container "main" in pod "p" is waiting to start: ContainerCreating')
  })
  t.match(await fixture.api('GET', `${podsPath}/p/log`), {
    status: 400,
    body: { reason: 'BadRequest', message: /is waiting to start: ContainerCreating/ }
  })
  t.match(await fixture.api('GET', `${podsPath}/p/log?container=nope`), {
    status: 400,
    body: { message: 'container nope is not valid for pod p' }
  })
  t.match(await fixture.api('POST', `${podsPath}/p/exec?command=ls`), {
    status: 400,
    body: { message: 'Upgrade request required' }
  })
})

void t.test('a node that cannot be reached is an error that says where', async (t) => {
  const { api } = await devCluster(t)
  const status = {
    addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
    daemonEndpoints: { kubeletEndpoint: { Port: 1 } }
  }
  await api('POST', '/api/v1/nodes', node('n1', { status }))
  t.match(await api('GET', '/api/v1/nodes/n1/proxy/pods'), {
    status: 500,
    body: { message: /https:\/\/127\.0\.0\.1:1\/pods/ }
  })
})
