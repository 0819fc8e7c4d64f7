import { createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** grpc.health.v1.Health/Check: `good` and the empty name serve, `bad` does not, others are unknown. Resolves with its port. */
export async function listenForHealth(t: Test): Promise<number> {
  const server = createServer()
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = []
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      const service = Buffer.concat(chunks).subarray(7).toString()
      const known =
        headers[':path'] === '/grpc.health.v1.Health/Check' && ['', 'good', 'bad'].includes(service)
      if (!known) {
        stream.respond(
          { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5' },
          { endStream: true }
        )
        return
      }
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(Buffer.from([0, 0, 0, 0, 2, 8, service === 'bad' ? 2 : 1]))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}
