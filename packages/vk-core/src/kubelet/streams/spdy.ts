import { finished } from 'node:stream/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { readSize, takeOver, upgradeOf } from '@interlink-ts/interlink-api/streams'
import type { StreamStatus } from '@interlink-ts/interlink-api/wire'
import { VkError } from '../../errors.ts'
import { SpdyConnection, type SpdyStream } from '../../streams/spdy/index.ts'
import { nodeStops, type Caller } from './caller.ts'
import type { CommandQuery } from './query.ts'

/** Of exec and attach over SPDY; older ones cannot tell an exit code. */
export const spdyCommandProtocol = 'v4.channel.k8s.io'
const openingMs = 30_000

/** Answers an upgrade to SPDY/3.1; it ends with GOAWAY when the server closes. @throws VkError where the caller does not speak the protocol in it */
export function acceptSpdy(request: FastifyRequest, reply: FastifyReply, protocol: string): SpdyConnection {
  const header = 'x-stream-protocol-version'
  const offered = [request.headers[header] ?? []]
    .flat()
    .flatMap((names) => names.split(',').map((one) => one.trim()))
  if (!offered.includes(protocol)) {
    const found = `${header}: ${offered.join(', ') || 'none'}`
    throw new VkError('VK_STREAM_PROTOCOL', { what: 'SPDY/3.1', expected: `${header}: ${protocol}`, found })
  }
  const upgrade = takeOver(request, reply)
  const { socket, head } = upgrade
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`
  )
  if (head.length > 0) socket.unshift(head)
  const connection = new SpdyConnection(socket)
  upgrade.goodbye = () => connection.leave()
  return connection
}

/** An exec or attach over SPDY/3.1: one stream for each of stdin, stdout, stderr, resize, and error. */
export async function acceptSpdyStreams(
  request: FastifyRequest,
  reply: FastifyReply,
  query: CommandQuery
): Promise<Caller> {
  const connection = acceptSpdy(request, reply, spdyCommandProtocol)
  const left = new AbortController()
  connection.once('close', () => left.abort())
  const wanted = new Set([
    'error',
    ...(query.stdin ? ['stdin'] : []),
    ...(query.stdout ? ['stdout'] : []),
    ...(query.stderr ? ['stderr'] : []),
    ...(query.tty ? ['resize'] : [])
  ])
  const streams = await collect(connection, wanted, left.signal)
  const error = streams.get('error')!
  const tell = async (status: StreamStatus): Promise<void> => {
    error.end(JSON.stringify(status))
    await finished(error, { readable: false })
  }
  upgradeOf(request)!.goodbye = () => {
    tell(nodeStops).then(
      () => connection.leave(),
      () => connection.leave()
    )
  }
  return {
    stdin: streams.get('stdin'),
    stdout: streams.get('stdout'),
    stderr: streams.get('stderr'),
    onResize(listener) {
      let text = ''
      streams.get('resize')?.on('data', (chunk: Buffer) => {
        const lines = (text + chunk.toString()).split('\n')
        text = lines.pop()!.slice(-1024)
        for (const line of lines) {
          const size = readSize(line)
          if (size) listener(size.columns, size.rows)
        }
      })
    },
    async end(status) {
      await tell(status)
      connection.destroy()
    },
    left: left.signal
  }
}

function collect(
  connection: SpdyConnection,
  wanted: ReadonlySet<string>,
  left: AbortSignal
): Promise<ReadonlyMap<string, SpdyStream>> {
  const streams = new Map<string, SpdyStream>()
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      clearTimeout(timer)
      connection.destroy()
      reject(new Error(why))
    }
    const timer = setTimeout(() => fail('the caller did not open its streams in time'), openingMs)
    left.addEventListener('abort', () => fail('the caller left before it had opened its streams'), {
      once: true
    })
    connection.on('stream', (stream) => {
      const kind = stream.headers.streamtype ?? ''
      if (!wanted.has(kind) || streams.has(kind)) return void stream.destroy()
      streams.set(kind, stream)
      // Only stdin and resize say something, but a stream that nobody reads would make all others wait.
      if (kind !== 'stdin' && kind !== 'resize') stream.resume()
      if (streams.size < wanted.size) return
      clearTimeout(timer)
      resolve(streams)
    })
  })
}
