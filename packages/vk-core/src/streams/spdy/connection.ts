/** A connection of SPDY/3.1 over any duplex stream, draft-mbelshe-httpbis-spdy-00. It knows nothing of what runs in it. */
import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { encodeFrame, FrameParser, goAwayStatus, SpdyError, streamStatus, type Frame } from './frames.ts'
import { HeaderCodec, type Headers } from './header-block.ts'
import { SpdyStream, type StreamWire } from './stream.ts'

export interface SpdyOptions {
  /** Whose side this is: clients have the odd numbers. @default server */
  readonly role?: 'server' | 'client'
  /** Streams of the peer at the same time; more are refused. @default 1000 */
  readonly maxStreams?: number
}

interface Events {
  /** The peer has opened a stream; it has been answered. */
  stream: [SpdyStream]
  /** The connection is over, for a reason where it was not asked for. */
  close: [Error | undefined]
}

interface Waiting {
  resolve(): void
  reject(error: Error): void
}

/** How long what was last sent may take to leave. */
const lingerMs = 1000

/**
 * Streams both ways. Windows are ignored, as the SPDY of Kubernetes neither sends nor honours them: a reader that is
 * behind makes the whole connection wait, by the back-pressure of the transport, and nothing is held without bounds.
 */
export class SpdyConnection extends EventEmitter<Events> {
  readonly #socket: Duplex
  readonly #maxStreams: number
  readonly #headers = new HeaderCodec()
  readonly #streams = new Map<number, SpdyStream>()
  readonly #behind = new Set<SpdyStream>()
  readonly #pings = new Map<number, Waiting>()
  readonly #isClient: boolean
  readonly #wire: StreamWire
  #nextStream: number
  #nextPing: number
  #lastPeerStream = 0
  /** Header blocks go out in the order in which they were compressed. */
  #compressing: Promise<unknown> = Promise.resolve()
  #roomMade: (() => void) | undefined
  #isGoingAway = false
  #peerGoesAway = false
  #isClosed = false
  /** Answers to streams that we have opened, by number. */
  readonly #answers = new Map<number, Waiting>()
  #drain: Promise<void> | undefined

  constructor(socket: Duplex, { role = 'server', maxStreams = 1000 }: SpdyOptions = {}) {
    super()
    this.#socket = socket
    this.#maxStreams = maxStreams
    this.#isClient = role === 'client'
    this.#nextStream = this.#isClient ? 1 : 2
    this.#nextPing = this.#isClient ? 1 : 2
    this.#wire = {
      send: (stream, data, fin) => this.#sendData(stream, data, fin),
      drained: (stream) => this.#drained(stream),
      gone: (stream, status) => this.#gone(stream, status)
    }
    this.#run().then(
      () => this.#end(undefined),
      (error: Error) => this.#end(error)
    )
  }

  /** How many streams are open. */
  get size(): number {
    return this.#streams.size
  }

  /** Opens a stream. `opened` of it rejects where the peer refuses. */
  open(headers: Headers): SpdyStream {
    if (this.#isClosed || this.#isGoingAway || this.#peerGoesAway)
      throw new SpdyError('the connection takes no more streams')
    const id = this.#nextStream
    this.#nextStream += 2
    const opened = new Promise<void>((resolve, reject) => this.#answers.set(id, { resolve, reject }))
    const stream = new SpdyStream(this.#wire, { id, headers, opened, readable: true, writable: true })
    this.#streams.set(id, stream)
    this.#sendBlock(headers, (block) => ({
      type: 'synStream',
      streamId: id,
      associatedId: 0,
      priority: 0,
      fin: false,
      unidirectional: false,
      block
    })).catch((error: Error) => stream.destroy(error))
    return stream
  }

  /** Asks whether the peer is there; resolves with its answer, and rejects when the connection ends without. */
  ping(): Promise<void> {
    const id = this.#nextPing
    this.#nextPing = (this.#nextPing + 2) >>> 0
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new SpdyError('the connection is closed'))
      this.#pings.set(id, { resolve, reject })
      this.#send({ type: 'ping', id })
    })
  }

  /** No new streams; ends when those that are open have. */
  goAway(): void {
    if (this.#isGoingAway || this.#isClosed) return
    this.#isGoingAway = true
    this.#send({ type: 'goAway', lastStreamId: this.#lastPeerStream, status: goAwayStatus.ok })
    this.#endWhenIdle()
  }

  /** Ends everything at once, and tells the peer which of its streams were seen. */
  leave(): void {
    if (!this.#isGoingAway) this.goAway()
    this.#end(undefined)
  }

  /** Ends everything at once. */
  destroy(): void {
    this.#end(undefined)
  }

  async #run(): Promise<void> {
    const parser = new FrameParser()
    // A frame that is none is answered before the socket goes.
    const chunks: AsyncIterable<Buffer> = this.#socket.iterator({ destroyOnReturn: false })
    for await (const chunk of chunks) {
      for (const frame of parser.push(chunk)) await this.#take(frame)
      while (this.#behind.size > 0) await new Promise<void>((resolve) => (this.#roomMade = resolve))
    }
  }

  async #take(frame: Frame): Promise<void> {
    switch (frame.type) {
      case 'data':
        return this.#takeData(frame.streamId, frame.data, frame.fin)
      case 'synStream':
        return this.#takeOpening(frame, await this.#headers.read(frame.block))
      case 'synReply':
        await this.#headers.read(frame.block)
        this.#answers.get(frame.streamId)?.resolve()
        this.#answers.delete(frame.streamId)
        return this.#takeData(frame.streamId, Buffer.alloc(0), frame.fin)
      case 'headers':
        await this.#headers.read(frame.block)
        return this.#takeData(frame.streamId, Buffer.alloc(0), frame.fin)
      case 'rstStream':
        this.#answers
          .get(frame.streamId)
          ?.reject(new SpdyError(`the peer has refused the stream with status ${frame.status}`))
        return this.#streams.get(frame.streamId)?.reset(frame.status)
      case 'ping':
        if (frame.id % 2 === (this.#isClient ? 0 : 1)) return this.#send({ type: 'ping', id: frame.id })
        this.#pings.get(frame.id)?.resolve()
        this.#pings.delete(frame.id)
        return
      case 'goAway':
        this.#peerGoesAway = true
        return this.#endWhenIdle()
      case 'settings':
      case 'windowUpdate':
      case 'unknown':
    }
  }

  async #takeOpening(frame: Extract<Frame, { type: 'synStream' }>, headers: Headers): Promise<void> {
    const { streamId: id } = frame
    if (id % 2 !== (this.#isClient ? 0 : 1) || id <= this.#lastPeerStream)
      throw new SpdyError(`a stream with the number ${id}, which is not the peer's or not a new one`)
    this.#lastPeerStream = id
    if (this.#isGoingAway || this.#streams.size >= this.#maxStreams)
      return this.#send({ type: 'rstStream', streamId: id, status: streamStatus.refusedStream })
    const opened = frame.unidirectional
      ? Promise.resolve()
      : this.#sendBlock({}, (block) => ({ type: 'synReply', streamId: id, fin: false, block }))
    const stream = new SpdyStream(this.#wire, {
      id,
      headers,
      opened,
      readable: !frame.fin,
      writable: !frame.unidirectional
    })
    this.#streams.set(id, stream)
    this.emit('stream', stream)
  }

  #takeData(id: number, data: Buffer, fin: boolean): void {
    const stream = this.#streams.get(id)
    if (!stream) {
      // What was on its way when the stream ended here is no fault of the peer.
      if (id > this.#lastPeerStream && id >= this.#nextStream)
        this.#send({ type: 'rstStream', streamId: id, status: streamStatus.invalidStream })
      return
    }
    if (!stream.accept(data, fin)) this.#behind.add(stream)
  }

  #drained(stream: SpdyStream): void {
    if (this.#behind.delete(stream) && this.#behind.size === 0) this.#roomMade?.()
  }

  #gone(stream: SpdyStream, status: number | undefined): void {
    this.#drained(stream)
    this.#answers.delete(stream.id)
    if (!this.#streams.delete(stream.id)) return
    if (status !== undefined) this.#send({ type: 'rstStream', streamId: stream.id, status })
    this.#endWhenIdle()
  }

  #sendBlock(headers: Headers, frame: (block: Buffer) => Parameters<typeof encodeFrame>[0]): Promise<void> {
    const sent = this.#compressing.then(async () => this.#send(frame(await this.#headers.write(headers))))
    this.#compressing = sent.catch(() => {})
    return sent
  }

  async #sendData(stream: SpdyStream, data: Buffer, fin: boolean): Promise<void> {
    if (this.#isClosed) throw new SpdyError('the connection is closed')
    this.#send({ type: 'data', streamId: stream.id, fin, data })
    if (this.#socket.writableNeedDrain) await (this.#drain ??= this.#untilDrained())
  }

  #untilDrained(): Promise<void> {
    return new Promise((resolve) => {
      const settle = (): void => {
        this.#drain = undefined
        this.#socket.off('drain', settle).off('close', settle)
        resolve()
      }
      this.#socket.on('drain', settle).on('close', settle)
    })
  }

  #send(frame: Parameters<typeof encodeFrame>[0]): void {
    if (this.#isClosed || !this.#socket.writable) return
    this.#socket.cork()
    for (const part of encodeFrame(frame)) this.#socket.write(part)
    this.#socket.uncork()
  }

  #endWhenIdle(): void {
    if ((this.#isGoingAway || this.#peerGoesAway) && this.#streams.size === 0) this.#end(undefined)
  }

  #end(error: Error | undefined): void {
    if (this.#isClosed) return
    if (error instanceof SpdyError)
      this.#send({ type: 'goAway', lastStreamId: this.#lastPeerStream, status: goAwayStatus.protocolError })
    this.#isClosed = true
    const why = error ?? new SpdyError('the connection is closed')
    for (const stream of [...this.#streams.values()]) stream.destroy(why)
    for (const { reject } of this.#answers.values()) reject(why)
    for (const { reject } of this.#pings.values()) reject(why)
    this.#roomMade?.()
    this.#headers.close()
    const linger = setTimeout(() => this.#socket.destroy(), lingerMs)
    this.#socket.once('close', () => clearTimeout(linger))
    if (this.#socket.destroyed) clearTimeout(linger)
    else this.#socket.resume().end(() => this.#socket.destroy())
    this.emit('close', error)
  }
}
