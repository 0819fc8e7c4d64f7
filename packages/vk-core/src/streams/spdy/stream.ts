import { Duplex, type DuplexOptions } from 'node:stream'
import { SpdyError, streamStatus } from './frames.ts'
import type { Headers } from './header-block.ts'

/** Bytes of a stream that wait for their reader before the whole connection waits. */
const highWaterMark = 256 * 1024

/** What a stream needs of its connection. */
export interface StreamWire {
  /** Resolves when the bytes are with the socket and it takes more. */
  send(stream: SpdyStream, data: Buffer, fin: boolean): Promise<void>
  /** Its reader takes bytes again. */
  drained(stream: SpdyStream): void
  /** Both directions are over. */
  gone(stream: SpdyStream, status: number | undefined): void
}

/** One stream of a connection. `end()` is a half-close: the peer may go on. */
export class SpdyStream extends Duplex {
  readonly id: number
  /** Of the peer that has opened it, or ours where we have. */
  readonly headers: Headers
  /** Resolves when the stream has been answered: before it, nothing is sent. */
  readonly opened: Promise<void>
  readonly #wire: StreamWire
  #isReset = false
  #hasEnded: boolean

  constructor(
    wire: StreamWire,
    given: {
      readonly id: number
      readonly headers: Headers
      readonly opened: Promise<void>
      readonly readable: boolean
      readonly writable: boolean
    }
  ) {
    // The types leave these two out, stream.Duplex does not.
    const ends: DuplexOptions & { readable: boolean; writable: boolean } = {
      readable: given.readable,
      writable: given.writable,
      readableHighWaterMark: highWaterMark
    }
    super(ends)
    this.id = given.id
    this.headers = given.headers
    this.opened = given.opened
    this.#wire = wire
    this.#hasEnded = !given.readable
    given.opened.catch((error: Error) => this.destroy(error))
    // Who does not ask why a stream ended sees its close.
    this.on('error', () => {})
  }

  /** Data of the peer, and whether there will be more. False: its reader is behind. */
  accept(data: Buffer, fin: boolean): boolean {
    if (this.#hasEnded || this.destroyed) return true
    const hasRoom = data.length === 0 || this.push(data)
    if (fin) {
      this.#hasEnded = true
      this.push(null)
    }
    return hasRoom || fin
  }

  /** Whether the peer has ended both directions. */
  get wasReset(): boolean {
    return this.#isReset
  }

  /** The peer has ended both directions. */
  reset(status: number): void {
    this.#isReset = true
    this.destroy(
      status === streamStatus.cancel
        ? undefined
        : new SpdyError(`the peer has reset the stream with status ${status}`)
    )
  }

  override _read(): void {
    this.#wire.drained(this)
  }

  override _write(data: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    this.opened.then(() => this.#wire.send(this, data, false)).then(() => done(), done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.opened.then(() => this.#wire.send(this, Buffer.alloc(0), true)).then(() => done(), done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const isOver = this.#isReset || (this.#hasEnded && this.writableFinished)
    this.#wire.gone(this, isOver ? undefined : error ? streamStatus.internalError : streamStatus.cancel)
    done(error)
  }
}
