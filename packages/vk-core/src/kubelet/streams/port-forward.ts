import { setMaxListeners } from 'node:events'
import { pipeline } from 'node:stream/promises'
import type { StreamSession } from '@interlink-ts/interlink-api/client'
import type { SpdyConnection, SpdyStream } from '../../streams/spdy/index.ts'
import { parsePort } from './query.ts'

export const portForwardProtocol = 'portforward.k8s.io'
/** SPDY in the binary messages of a WebSocket. */
export const tunnelProtocols = [`SPDY/3.1+${portForwardProtocol}`, `v2.${portForwardProtocol}`] as const
const pairMs = 30_000

export interface Forwarding {
  open(port: number, signal: AbortSignal): Promise<StreamSession>
  /** As it is told to the caller. */
  readonly pod: string
}

/** The two streams of one connection: `data`, and `error` for words about it. */
interface Pair {
  data?: SpdyStream
  error?: SpdyStream
  readonly timer: NodeJS.Timeout
}

/** Serves connections to ports of a pod until the caller leaves. */
export function servePorts(connection: SpdyConnection, forwarding: Forwarding): Promise<void> {
  const left = new AbortController()
  // Each of any number of connections listens.
  setMaxListeners(0, left.signal)
  const pairs = new Map<string, Pair>()
  connection.on('stream', (stream) => {
    const { streamtype: kind, requestid, port } = stream.headers
    // Without a number of the request the two streams follow each other.
    const key = requestid ?? String(kind === 'error' ? stream.id : stream.id - 2)
    const pair = pairs.get(key) ?? {
      timer: setTimeout(() => forget(key), pairMs)
    }
    pairs.set(key, pair)
    if ((kind !== 'data' && kind !== 'error') || pair[kind]) return void stream.destroy()
    pair[kind] = stream
    if (kind === 'error') stream.resume()
    if (!pair.data || !pair.error) return
    clearTimeout(pair.timer)
    pairs.delete(key)
    void forward(pair.data, pair.error, port ?? '')
  })

  function forget(key: string): void {
    const pair = pairs.get(key)
    pairs.delete(key)
    pair?.data?.destroy()
    pair?.error?.destroy()
  }

  async function forward(data: SpdyStream, error: SpdyStream, text: string): Promise<void> {
    try {
      const session = await forwarding.open(parsePort(text), left.signal)
      pipeline(data, session.input).catch(() => {})
      // Clients that have had all of it reset the stream instead of ending it, and wait for the end of the other.
      const reset = new Promise<void>((resolve) => data.once('close', () => data.wasReset && resolve()))
      const ends = Promise.race([outcome(session), reset])
      await Promise.all([pipeline(session.output, data), ends]).finally(() => session.destroy())
    } catch (failure) {
      if (data.wasReset) return
      const reason = failure instanceof Error ? failure.message : String(failure)
      error.write(`error forwarding port ${text} to pod ${forwarding.pod}: ${reason}`)
    } finally {
      error.end()
      data.destroy()
    }
  }

  return new Promise((resolve) =>
    connection.once('close', () => {
      for (const key of pairs.keys()) forget(key)
      left.abort()
      resolve()
    })
  )
}

async function outcome({ status }: StreamSession): Promise<void> {
  const { status: how, message } = await status
  if (how === 'Failure') throw new Error(message ?? 'the connection failed')
}
