import t, { type Test } from 'tap'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocketServer } from 'ws'
import { createInterlinkClient } from '../src/client/index.ts'
import { channel } from '../src/streams/index.ts'
import { text } from './helpers.ts'

/** The masking key of the first frame that comes, RFC 6455 5.2. */
async function firstMask(t: Test, listen: string | number): Promise<{ isMasked: boolean; key: Buffer }> {
  const server = createServer()
  const sockets = new WebSocketServer({ server })
  server.listen(listen)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const url =
    typeof listen === 'string'
      ? `unix://${listen}`
      : `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = createInterlinkClient({ url })
  t.teardown(() => client.close())
  const came = once(sockets, 'connection').then(async ([, request]) => {
    const [bytes] = (await once((request as IncomingMessage).socket, 'data')) as [Buffer]
    return { isMasked: (bytes[1]! & 0x80) !== 0, key: bytes.subarray(2, 6) }
  })
  const command = ['true']
  const session = await client.stream('u', {
    ...{ kind: 'exec', container: 'c', command, stdin: false, tty: false }
  })
  t.teardown(() => session.destroy())
  return came
}

t.test('what is sent is masked by chance where others may look, and by zeroes where none can', async (t) => {
  const [one, other] = [await firstMask(t, 0), await firstMask(t, 0)]
  t.ok(one.isMasked)
  t.notOk(one.key.equals(other.key))
  const directory = await mkdtemp(join(tmpdir(), 'interlink-open-stream-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const alone = await firstMask(t, join(directory, 'socket'))
  t.ok(alone.isMasked, 'a server may insist')
  t.same([...alone.key], [0, 0, 0, 0])
})

t.test('what comes in one piece with the answer to the handshake is heard', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  server.on('upgrade', (request, socket) => {
    const frame = (...body: number[]) => Buffer.from([0x82, body.length, ...body])
    const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
    const head = [
      'HTTP/1.1 101 Switching Protocols',
      'connection: upgrade',
      'upgrade: websocket',
      `sec-websocket-protocol: ${request.headers['sec-websocket-protocol']}`,
      `sec-websocket-accept: ${createHash('sha1').update(key).digest('base64')}`,
      '\r\n'
    ].join('\r\n')
    const status = Buffer.from('\x03{"metadata":{},"status":"Success"}')
    socket.write(
      Buffer.concat([
        Buffer.from(head),
        frame(channel.stdout, ...Buffer.from('SSH-2.0')),
        frame(channel.close, channel.stdout),
        frame(...status)
      ])
    )
  })
  const client = createInterlinkClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
  t.teardown(() => client.close())
  const session = await client.stream('u', { kind: 'portforward', port: 22 })
  t.teardown(() => session.destroy())
  t.equal(await text(session.output), 'SSH-2.0')
  t.match(await session.status, { status: 'Success' })
})
