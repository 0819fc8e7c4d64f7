/** The node's end of an exec, attach or port-forward. */
import type { IncomingMessage } from 'node:http'
import type { Readable, Writable } from 'node:stream'
import WebSocket from 'ws'
import { InterlinkError } from '../errors.ts'
import { Channels, channel } from '../streams/channels.ts'
import { keepAlive } from '../streams/keep-alive.ts'
import { writeSize } from '../streams/terminal-size.ts'
import { decode } from '../wire/decode.ts'
import { streamProtocol, StreamStatus, type StreamStart } from '../wire/messages.ts'
import { errorFrom, tryJson } from './answer.ts'
import { unreachable, type Transport } from './transport.ts'

/** What is to be opened in a pod. */
export type StreamAsk =
  | ({ readonly kind: 'exec'; readonly container: string } & StreamStart)
  | ({ readonly kind: 'attach'; readonly container: string } & StreamStart)
  | { readonly kind: 'portforward'; readonly port: number }

export interface StreamSession {
  /** To the process or the port; `end()` is the end of its input, and of nothing else. */
  readonly input: Writable
  readonly output: Readable
  /** Silent for a terminal and for a port. */
  readonly errors: Readable
  resize(columns: number, rows: number): void
  /**
   * How it ended, after the last byte. Fails with an {@link InterlinkError} where the connection was lost: what has
   * become of the process is then unknown.
   */
  readonly status: Promise<StreamStatus>
  /** Ends the process, or closes the port's connection. */
  destroy(): void
}

/** Path and query, the same on every hop. */
export function streamPath(uid: string, ask: StreamAsk): string {
  const query = new URLSearchParams({ uid })
  if (ask.kind === 'portforward') query.set('port', String(ask.port))
  else query.set('container', ask.container)
  return `/${ask.kind}?${query}`
}

export interface Opening {
  readonly transport: Transport
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly signal?: AbortSignal
}

/** @throws InterlinkError */
export async function openStream(opening: Opening, ask: StreamAsk): Promise<StreamSession> {
  return shakeHands(opening, (socket) => {
    if (ask.kind !== 'portforward') {
      const { command, stdin, tty } = ask
      socket.send(JSON.stringify({ ...(command && { command }), stdin, tty } satisfies StreamStart))
    }
    return sessionOn(socket, opening.transport.server)
  })
}

function sessionOn(socket: WebSocket, server: string): StreamSession {
  keepAlive(socket)
  const channels = new Channels(socket)
  const status = new Promise<StreamStatus>((resolve, reject) => {
    channels.on('message', (id, body) => {
      if (id !== channel.status) return
      try {
        resolve(decode(StreamStatus, tryJson(body.toString())))
      } catch (error) {
        reject(error as Error)
      }
    })
    channels.once('close', () =>
      reject(new InterlinkError('IL_CONNECTION_LOST', { server, reason: 'closed' }))
    )
  })
  status.catch(() => {})
  return {
    input: channels.writer(channel.stdin),
    output: channels.reader(channel.stdout),
    errors: channels.reader(channel.stderr),
    resize: (columns: number, rows: number) =>
      void channels.send(channel.resize, writeSize({ columns, rows })).catch(() => {}),
    status,
    destroy: () => channels.destroy()
  }
}

/**
 * A mask keeps proxies that do not know WebSockets from taking what is sent for requests, RFC 6455 10.3. Where none can
 * look, it is only the most expensive part of sending.
 */
const noMask = (mask: Buffer): void => void mask.fill(0)

/** `begin` is called before the first message is heard, which may come with the answer to the handshake. */
function shakeHands<T>(
  { transport, path, headers, timeoutMs, signal }: Opening,
  begin: (socket: WebSocket) => T
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new InterlinkError('IL_ABORTED', {}, signal.reason))
    const socket = new WebSocket(`${transport.webSocketBase}${path}`, [streamProtocol], {
      headers,
      handshakeTimeout: timeoutMs,
      perMessageDeflate: false,
      ...(transport.isPrivate && { generateMask: noMask }),
      createConnection: () => transport.connect()
    })
    const abort = () => {
      reject(new InterlinkError('IL_ABORTED', {}, signal?.reason))
      socket.terminate()
    }
    signal?.addEventListener('abort', abort, { once: true })
    socket.once('close', () => signal?.removeEventListener('abort', abort))
    socket.once('open', () => resolve(begin(socket)))
    socket.once('unexpected-response', (_, response: IncomingMessage) => {
      errorFrom(response, transport.server).then(reject, reject)
    })
    socket.on('error', (error) => reject(unreachable(transport.server, error)))
  })
}
