/** Frames of SPDY/3.1 to bytes and back, draft-mbelshe-httpbis-spdy-00 section 2.2 and 2.6. Pure. */

export type Frame =
  | { readonly type: 'data'; readonly streamId: number; readonly fin: boolean; readonly data: Buffer }
  | {
      readonly type: 'synStream'
      readonly streamId: number
      readonly associatedId: number
      readonly priority: number
      readonly fin: boolean
      readonly unidirectional: boolean
      readonly block: Buffer
    }
  | { readonly type: 'synReply'; readonly streamId: number; readonly fin: boolean; readonly block: Buffer }
  | { readonly type: 'rstStream'; readonly streamId: number; readonly status: number }
  | { readonly type: 'settings' }
  | { readonly type: 'ping'; readonly id: number }
  | { readonly type: 'goAway'; readonly lastStreamId: number; readonly status: number }
  | { readonly type: 'headers'; readonly streamId: number; readonly fin: boolean; readonly block: Buffer }
  | { readonly type: 'windowUpdate'; readonly streamId: number; readonly delta: number }
  /** Of a type that the draft does not know: to be passed over. */
  | { readonly type: 'unknown'; readonly code: number }

/** Status of RST_STREAM, section 2.6.3. */
export const streamStatus = {
  protocolError: 1,
  invalidStream: 2,
  refusedStream: 3,
  cancel: 5,
  internalError: 6,
  streamAlreadyClosed: 9
} as const

/** Status of GOAWAY, section 2.6.6. */
export const goAwayStatus = { ok: 0, protocolError: 1, internalError: 2 } as const

/** The peer broke the rules: the connection cannot go on. */
export class SpdyError extends Error {
  override readonly name = 'SpdyError'
}

const headBytes = 8
const version = 3
const maxLength = 0xff_ff_ff
const idMask = 0x7f_ff_ff_ff
const flagFin = 1
const flagUnidirectional = 2
const codes = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9
} as const

interface DataUnderWay {
  readonly streamId: number
  readonly fin: boolean
  left: number
}

/**
 * Cuts a byte stream into frames. Data is handed on as it comes, a long frame in several parts of which the last one
 * has the FIN; control frames are held until they are whole, up to `maxControlBytes`.
 */
export class FrameParser {
  readonly #maxControlBytes: number
  #held: Buffer[] = []
  #heldBytes = 0
  /** Of the data frame that is under way. */
  #data: DataUnderWay | undefined

  constructor(maxControlBytes = 256 * 1024) {
    this.#maxControlBytes = maxControlBytes
  }

  /** @throws SpdyError from the frame on that is none */
  *push(chunk: Buffer): Generator<Frame> {
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    for (;;) {
      const frame = this.#data ? this.#part(this.#data) : this.#next()
      if (!frame) return
      yield frame
    }
  }

  #part(data: DataUnderWay): Frame | undefined {
    if (this.#heldBytes === 0 && data.left > 0) return undefined
    const bytes = this.#take(Math.min(data.left, this.#heldBytes))
    data.left -= bytes.length
    const isLast = data.left === 0
    if (isLast) this.#data = undefined
    return { type: 'data', streamId: data.streamId, fin: data.fin && isLast, data: bytes }
  }

  #next(): Frame | undefined {
    if (this.#heldBytes < headBytes) return undefined
    const head = this.#peek(headBytes)
    const word = head.readUInt32BE(0)
    const flags = head[4]!
    const length = head.readUIntBE(5, 3)
    if (word >>> 31 === 0) {
      this.#take(headBytes)
      this.#data = { streamId: word, fin: (flags & flagFin) !== 0, left: length }
      return this.#part(this.#data)
    }
    if (((word >>> 16) & 0x7f_ff) !== version)
      throw new SpdyError(`a control frame of version ${(word >>> 16) & 0x7f_ff}; this is SPDY/3`)
    if (length > this.#maxControlBytes)
      throw new SpdyError(`a control frame of ${length} bytes; at most ${this.#maxControlBytes} are taken`)
    if (this.#heldBytes < headBytes + length) return undefined
    this.#take(headBytes)
    return decodeControl(word & 0xff_ff, flags, this.#take(length))
  }

  #peek(bytes: number): Buffer {
    if (this.#held[0]!.length < bytes) this.#held = [Buffer.concat(this.#held)]
    return this.#held[0]!.subarray(0, bytes)
  }

  #take(bytes: number): Buffer {
    const parts: Buffer[] = []
    for (let left = bytes; left > 0;) {
      const first = this.#held[0]!
      const part = first.subarray(0, left)
      if (part.length === first.length) this.#held.shift()
      else this.#held[0] = first.subarray(part.length)
      left -= part.length
      parts.push(part)
    }
    this.#heldBytes -= bytes
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }
}

function decodeControl(code: number, flags: number, body: Buffer): Frame {
  const id = (offset: number): number => body.readUInt32BE(offset) & idMask
  const fin = (flags & flagFin) !== 0
  const needs = (name: string, bytes: number): void => {
    if (body.length < bytes) throw new SpdyError(`${name} of ${body.length} bytes; it has at least ${bytes}`)
  }
  switch (code) {
    case codes.synStream:
      needs('SYN_STREAM', 10)
      return {
        type: 'synStream',
        streamId: id(0),
        associatedId: id(4),
        priority: body[8]! >>> 5,
        fin,
        unidirectional: (flags & flagUnidirectional) !== 0,
        block: body.subarray(10)
      }
    case codes.synReply:
      needs('SYN_REPLY', 4)
      return { type: 'synReply', streamId: id(0), fin, block: body.subarray(4) }
    case codes.rstStream:
      needs('RST_STREAM', 8)
      return { type: 'rstStream', streamId: id(0), status: body.readUInt32BE(4) }
    case codes.settings:
      return { type: 'settings' }
    case codes.ping:
      needs('PING', 4)
      return { type: 'ping', id: body.readUInt32BE(0) }
    case codes.goAway:
      needs('GOAWAY', 8)
      return { type: 'goAway', lastStreamId: id(0), status: body.readUInt32BE(4) }
    case codes.headers:
      needs('HEADERS', 4)
      return { type: 'headers', streamId: id(0), fin, block: body.subarray(4) }
    case codes.windowUpdate:
      needs('WINDOW_UPDATE', 8)
      return { type: 'windowUpdate', streamId: id(0), delta: id(4) }
    default:
      return { type: 'unknown', code }
  }
}

/** The bytes of a frame. Data of more than 16 MiB less one becomes several frames. */
export function encodeFrame(frame: Exclude<Frame, { type: 'unknown' }>): Buffer[] {
  switch (frame.type) {
    case 'data':
      return encodeData(frame.streamId, frame.data, frame.fin)
    case 'synStream':
      return control(
        codes.synStream,
        (frame.fin ? flagFin : 0) | (frame.unidirectional ? flagUnidirectional : 0),
        words(frame.streamId, frame.associatedId),
        Buffer.from([frame.priority << 5, 0]),
        frame.block
      )
    case 'synReply':
      return control(codes.synReply, frame.fin ? flagFin : 0, words(frame.streamId), frame.block)
    case 'rstStream':
      return control(codes.rstStream, 0, words(frame.streamId, frame.status))
    case 'settings':
      return control(codes.settings, 0, words(0))
    case 'ping':
      return control(codes.ping, 0, words(frame.id))
    case 'goAway':
      return control(codes.goAway, 0, words(frame.lastStreamId, frame.status))
    case 'headers':
      return control(codes.headers, frame.fin ? flagFin : 0, words(frame.streamId), frame.block)
    case 'windowUpdate':
      return control(codes.windowUpdate, 0, words(frame.streamId, frame.delta))
  }
}

function encodeData(streamId: number, data: Buffer, fin: boolean): Buffer[] {
  const frames: Buffer[] = []
  let at = 0
  do {
    const part = data.subarray(at, at + maxLength)
    at += part.length
    frames.push(head(streamId, fin && at === data.length ? flagFin : 0, part.length), part)
  } while (at < data.length)
  return frames
}

const control = (code: number, flags: number, ...parts: Buffer[]): Buffer[] => [
  head(
    ((0x80_00 | version) << 16) | code,
    flags,
    parts.reduce((bytes, part) => bytes + part.length, 0)
  ),
  ...parts
]

function head(word: number, flags: number, length: number): Buffer {
  const bytes = Buffer.alloc(headBytes)
  bytes.writeUInt32BE(word >>> 0, 0)
  bytes[4] = flags
  bytes.writeUIntBE(length, 5, 3)
  return bytes
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  values.forEach((value, index) => bytes.writeUInt32BE(value >>> 0, 4 * index))
  return bytes
}
