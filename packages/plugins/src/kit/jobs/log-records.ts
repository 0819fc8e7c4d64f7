import type { FileHandle } from 'node:fs/promises'

/** A record of a CRI log, as offsets into the block that holds it: `TIME STREAM P|F text\n`. */
export interface LogRecord {
  readonly start: number
  readonly isError: boolean
  readonly text: number
  /** Where the text ends, the newline not included. */
  readonly end: number
  /** The line goes on in a later record. */
  readonly partial: boolean
}

const SPACE = 0x20
const NEWLINE = 0x0a
const P = 0x50
const F = 0x46
/** The fourth letter of `stderr`, where `stdout` has another. */
const E = 0x65

export const BLOCK = 64 * 1024
/** No record is longer: 16 KiB of text and its head. What is longer is garbage and passed over. */
const LONGEST = 1024 * 1024

/** The record between `start` and the newline at `end`; undefined where it is none. */
export function parseRecord(block: Buffer, start: number, end: number): LogRecord | undefined {
  const stream = block.indexOf(SPACE, start) + 1
  const tag = stream > 0 ? block.indexOf(SPACE, stream) + 1 : 0
  if (tag === 0 || tag >= end) return undefined
  const partial = block[tag] === P
  if (!partial && block[tag] !== F) return undefined
  const text = tag + 1 < end && block[tag + 1] === SPACE ? tag + 2 : tag + 1
  const isError = block[stream + 3] === E
  return { start, isError, text, end, partial }
}

export interface Records {
  readonly block: Buffer
  readonly records: readonly LogRecord[]
}

/** Reads the records of a log as it grows; memory is bounded by a block and a record. */
export class LogCursor {
  readonly #file: FileHandle
  #offset: number
  #rest: Buffer = Buffer.alloc(0)

  constructor(file: FileHandle, offset: number) {
    this.#file = file
    this.#offset = offset
  }

  /** The next complete records; undefined at the present end of the file. */
  async next(): Promise<Records | undefined> {
    for (;;) {
      const block = Buffer.allocUnsafe(this.#rest.length + BLOCK)
      this.#rest.copy(block)
      const { bytesRead } = await this.#file.read(block, this.#rest.length, BLOCK, this.#offset)
      if (bytesRead === 0) return undefined
      this.#offset += bytesRead
      const filled = block.subarray(0, this.#rest.length + bytesRead)
      const records: LogRecord[] = []
      let start = 0
      for (let end = filled.indexOf(NEWLINE); end !== -1; end = filled.indexOf(NEWLINE, start)) {
        const record = parseRecord(filled, start, end)
        if (record) records.push(record)
        start = end + 1
      }
      const left = filled.subarray(start)
      this.#rest = left.length > LONGEST ? Buffer.alloc(0) : Buffer.from(left)
      if (records.length > 0) return { block: filled, records }
    }
  }
}

/** The offset where the last `lines` lines begin; a line is all records up to and with a full one. */
export async function tailOffset(file: FileHandle, lines: number): Promise<number> {
  const { size } = await file.stat()
  if (lines <= 0) return size
  let from = size
  let carry: Buffer = Buffer.alloc(0)
  let found = 0
  let last = true
  while (from > 0) {
    const length = Math.min(BLOCK, from)
    from -= length
    const block = Buffer.allocUnsafe(length)
    await readFully(file, block, from)
    const data = carry.length > 0 ? Buffer.concat([block, carry]) : block
    let end = data.lastIndexOf(NEWLINE)
    // What follows the last newline of the file is still being written.
    while (end !== -1) {
      const before = end === 0 ? -1 : data.lastIndexOf(NEWLINE, end - 1)
      if (before === -1 && from > 0) break
      const record = parseRecord(data, before + 1, end)
      if (record) {
        if (!record.partial || last) found++
        if (found > lines) return from + end + 1
        last = false
      }
      end = before
    }
    carry = Buffer.from(data.subarray(0, end + 1))
    if (carry.length > LONGEST) carry = Buffer.alloc(0)
  }
  return 0
}

/** An offset at or shortly before the first record of `since` or later, by halving. `since` as {@link recordTime}. */
export async function sinceOffset(file: FileHandle, since: Buffer): Promise<number> {
  let low = 0
  let high = (await file.stat()).size
  const block = Buffer.allocUnsafe(BLOCK)
  while (high - low > BLOCK) {
    const middle = Math.floor((low + high) / 2)
    const { bytesRead } = await file.read(block, 0, BLOCK, middle)
    const start = block.subarray(0, bytesRead).indexOf(NEWLINE) + 1
    if (start === 0 || start + since.length > bytesRead) return low
    if (isBefore(block, start, since)) low = middle + start
    else high = middle
  }
  return low
}

export const isBefore = (block: Buffer, start: number, since: Buffer): boolean =>
  block.compare(since, 0, since.length, start, start + since.length) < 0

/** The time of a record as it stands in the log; fixed in width, so that order is byte order. */
export const recordTime = (epochMs: number): Buffer =>
  Buffer.from(new Date(epochMs).toISOString().replace('Z', '000000Z'))

async function readFully(file: FileHandle, block: Buffer, at: number): Promise<void> {
  let filled = 0
  while (filled < block.length) {
    const { bytesRead } = await file.read(block, filled, block.length - filled, at + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
}
