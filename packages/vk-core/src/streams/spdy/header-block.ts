/** Header blocks of SPDY/3.1, draft-mbelshe-httpbis-spdy-00 section 2.6.10: names and values, compressed. */
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib'
import { SpdyError } from './frames.ts'

/** Names are in lower case; several values of one name are told apart by NUL. */
export type Headers = Readonly<Record<string, string>>

/** What both ends know before the first byte, section 2.6.10.1. */
const names =
  'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age ' +
  'allow authorization cache-control connection content-base content-encoding content-language content-length ' +
  'content-location content-md5 content-range content-type date etag expect expires from host if-match ' +
  'if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma ' +
  'proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade ' +
  'user-agent vary via warning www-authenticate method get status'
const more = ['200 OK', ...'version HTTP/1.1 url public set-cookie keep-alive origin'.split(' ')]
const values =
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 ' +
  'Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden' +
  '404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul ' +
  'Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,' +
  'image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,' +
  'sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.'

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const counted = (text: string): Buffer[] => {
  const bytes = Buffer.from(text)
  return [word(bytes.length), bytes]
}
const dictionary = Buffer.concat([...[...names.split(' '), ...more].flatMap(counted), Buffer.from(values)])

export const encodeHeaders = (headers: Headers): Buffer =>
  Buffer.concat([
    word(Object.keys(headers).length),
    ...Object.entries(headers).flatMap(([name, value]) => [...counted(name.toLowerCase()), ...counted(value)])
  ])

/** @throws SpdyError for a block that is cut, has bytes left, or the same or no name twice */
export function decodeHeaders(block: Buffer): Headers {
  let at = 0
  const number = (): number => {
    if (at + 4 > block.length) throw new SpdyError('a header block ends within a number')
    at += 4
    return block.readUInt32BE(at - 4)
  }
  const text = (): string => {
    const bytes = number()
    if (at + bytes > block.length) throw new SpdyError('a header block ends within a text')
    at += bytes
    return block.toString('utf8', at - bytes, at)
  }
  const headers = new Map<string, string>()
  for (let left = number(); left > 0; left--) {
    const name = text().toLowerCase()
    if (name === '') throw new SpdyError('a header has no name')
    if (headers.has(name)) throw new SpdyError(`the header ${JSON.stringify(name)} stands twice`)
    headers.set(name, text())
  }
  if (at < block.length) throw new SpdyError('a header block goes on behind its last header')
  return Object.fromEntries(headers)
}

/** One direction of a connection. The blocks of a direction are one stream of zlib: each is to be waited for. */
class Squeezer {
  readonly #zlib: Inflate | Deflate
  #parts: Buffer[] = []
  #bytes = 0
  #broken: SpdyError | undefined
  #reject: ((error: SpdyError) => void) | undefined

  constructor(zlib: Inflate | Deflate, maxBytes: number) {
    this.#zlib = zlib
    zlib.on('error', (error) => this.#fail(`a header block cannot be read: ${error.message}`))
    zlib.on('data', (part: Buffer) => {
      this.#bytes += part.length
      if (this.#bytes > maxBytes) this.#fail(`a header block of more than ${maxBytes} bytes`)
      else this.#parts.push(part)
    })
  }

  pass(bytes: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#broken) return reject(this.#broken)
      this.#reject = reject
      this.#zlib.write(bytes)
      this.#zlib.flush(constants.Z_SYNC_FLUSH, () => {
        const passed = Buffer.concat(this.#parts)
        this.#parts = []
        this.#bytes = 0
        resolve(passed)
      })
    })
  }

  close(): void {
    this.#fail('the connection is closed')
  }

  #fail(why: string): void {
    if (this.#broken) return
    this.#broken = new SpdyError(why)
    this.#reject?.(this.#broken)
    this.#zlib.destroy()
  }
}

/** Compresses and reads the header blocks of one connection. */
export class HeaderCodec {
  readonly #inflate: Squeezer
  readonly #deflate: Squeezer

  /** @param maxBytes of one block, uncompressed */
  constructor(maxBytes = 1024 * 1024) {
    this.#inflate = new Squeezer(createInflate({ dictionary, finishFlush: constants.Z_SYNC_FLUSH }), maxBytes)
    this.#deflate = new Squeezer(createDeflate({ dictionary }), Infinity)
  }

  /** @throws SpdyError */
  async read(block: Buffer): Promise<Headers> {
    return decodeHeaders(await this.#inflate.pass(block))
  }

  write(headers: Headers): Promise<Buffer> {
    return this.#deflate.pass(encodeHeaders(headers))
  }

  close(): void {
    this.#inflate.close()
    this.#deflate.close()
  }
}
