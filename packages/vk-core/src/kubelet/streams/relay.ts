import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { StreamSession } from '@interlink-ts/interlink-api/client'
import type { StreamStatus } from '@interlink-ts/interlink-api/wire'
import type { Caller } from './caller.ts'

export interface Relayed {
  /** Bytes to the process and from it. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly status: StreamStatus
}

/** Joins a caller with a session of the backend until either ends; the other then ends too. */
export async function relay(caller: Caller, session: StreamSession): Promise<Relayed> {
  const bytes = { in: 0, out: 0 }
  const leave = () => session.destroy()
  caller.left.addEventListener('abort', leave, { once: true })
  if (caller.left.aborted) leave()
  try {
    caller.onResize((columns, rows) => session.resize(columns, rows))
    if (caller.stdin) {
      caller.stdin.on('data', (chunk: Buffer) => (bytes.in += chunk.length))
      // A process may end without reading all that it is sent.
      pipeline(caller.stdin, session.input, { end: true }).catch(() => {})
    } else session.input.end()
    const outputs = [deliver(session.output, caller.stdout), deliver(session.errors, caller.stderr)]
    const status = await session.status.catch((error: Error): StreamStatus => ({
      status: 'Failure',
      reason: 'InternalError',
      message: error.message
    }))
    await Promise.all(outputs)
    await caller.end(status).catch(() => {})
    return { bytesIn: bytes.in, bytesOut: bytes.out, status }
  } finally {
    session.destroy()
  }

  async function deliver(from: Readable, to: Writable | undefined): Promise<void> {
    if (!to) return void from.resume()
    from.on('data', (chunk: Buffer) => (bytes.out += chunk.length))
    await pipeline(from, to).catch(() => {})
  }
}
