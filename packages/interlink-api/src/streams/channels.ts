/** Byte streams in one WebSocket: the first byte of a binary message names the channel, as in v5.channel.k8s.io. */
import { EventEmitter } from 'node:events'
import { Readable, Writable } from 'node:stream'
import type WebSocket from 'ws'

/** The peer sends to the process on `stdin` and `resize`, and hears from it on the others. */
export const channel = { stdin: 0, stdout: 1, stderr: 2, status: 3, resize: 4, close: 255 } as const

interface Events {
  /** A message that is no bytes of a stream, such as of `status` or `resize`. */
  message: [channel: number, body: Buffer]
  /** The connection is over, by whichever end. */
  close: []
}

/** Of one message that is sent; a longer write becomes several. */
const longestMessage = 256 * 1024
/** Of one message that is taken. */
export const maxMessage = 16 * 1024 * 1024
const highWaterMark = 256 * 1024

/**
 * Both ends use it alike. A reader that is behind makes the whole connection wait, so that nothing is held without
 * bounds. A connection that ends destroys what is open of its streams.
 */
export class Channels extends EventEmitter<Events> {
  readonly #socket: WebSocket
  /** Those whose end has not been told. */
  readonly #readers = new Map<number, Readable>()
  readonly #ended = new Set<number>()
  readonly #writers = new Set<Writable>()
  readonly #behind = new Set<Readable>()
  readonly #tellsEnds: boolean

  /** `tellsEnds`: whether the peer is told of the end of one channel. */
  constructor(socket: WebSocket, { tellsEnds = true }: { readonly tellsEnds?: boolean } = {}) {
    super()
    this.#socket = socket
    this.#tellsEnds = tellsEnds
    socket.on('message', (data, isBinary) => this.#take(data as Buffer, isBinary))
    socket.on('error', () => {})
    socket.once('close', () => {
      const lost = new Error('the connection was closed')
      for (const reader of this.#readers.values()) reader.destroy(lost)
      for (const writer of this.#writers) writer.destroy(lost)
      this.emit('close')
    })
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN
  }

  /** What the peer sends on a channel. To be asked for before the first message comes. */
  reader(id: number): Readable {
    const reader: Readable = new Readable({
      highWaterMark,
      read: () => this.#caughtUp(reader),
      destroy: (error, done) => {
        this.#caughtUp(reader)
        done(error)
      }
    })
    // Who does not ask why a stream ended sees its close.
    reader.on('error', () => {})
    this.#readers.set(id, reader)
    return reader
  }

  /** Bytes to the peer; `end()` closes the channel and no other. */
  writer(id: number): Writable {
    const writer = new Writable({
      highWaterMark,
      write: (chunk: Buffer, _, done) => {
        let at = 0
        const next = (error?: Error | null): void => {
          if (error || at >= chunk.length) return done(error)
          const part = chunk.subarray(at, at + longestMessage)
          at += part.length
          this.#send(id, part, next)
        }
        next()
      },
      final: (done) => (this.#tellsEnds ? this.#send(channel.close, Buffer.of(id), done) : done()),
      destroy: (error, done) => {
        this.#writers.delete(writer)
        done(error)
      }
    })
    writer.on('error', () => {})
    this.#writers.add(writer)
    return writer
  }

  /** Resolves when it is with the socket. */
  send(id: number, body: string): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#send(id, Buffer.from(body), (error) => (error ? reject(error) : resolve()))
    )
  }

  /** Says goodbye: what was sent before arrives. */
  end(code = 1000, reason = ''): void {
    this.#socket.close(code, reason)
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.#socket.terminate()
  }

  #send(id: number, body: Buffer, done: (error?: Error | null) => void): void {
    if (!this.isOpen) return done(new Error('the connection was closed'))
    this.#socket.send(Buffer.concat([Buffer.of(id), body]), { binary: true }, done)
  }

  #take(data: Buffer, isBinary: boolean): void {
    const [id] = data
    // Text would be a message of another kind, and some clients open a channel with an empty one.
    if (!isBinary || id === undefined) return
    const body = data.subarray(1)
    if (id === channel.close) return this.#endReader(body[0] ?? -1)
    if (this.#ended.has(id)) return
    const reader = this.#readers.get(id)
    if (!reader) return void this.emit('message', id, body)
    if (reader.destroyed || body.length === 0 || reader.push(body)) return
    this.#behind.add(reader)
    this.#socket.pause()
  }

  #endReader(id: number): void {
    this.#readers.get(id)?.push(null)
    this.#readers.delete(id)
    this.#ended.add(id)
  }

  #caughtUp(reader: Readable): void {
    if (this.#behind.delete(reader) && this.#behind.size === 0) this.#socket.resume()
  }
}
