import { open, type FileHandle } from 'node:fs/promises'
import { recordTime } from '../kit/jobs/log-records.ts'

const blockBytes = 64 * 1024
/** Of the text of a record, as the supervisor splits it. */
const longest = 16 * 1024

/**
 * The CRI log that is made of a plain file as it grows. How much of it is there already is read off the log itself, so
 * that nothing is doubled or lost where the plugin dies in between.
 */
export class CarriedLog {
  readonly #from: string
  readonly #to: string
  #offset: number | undefined

  constructor(from: string, to: string) {
    this.#from = from
    this.#to = to
  }

  /** Appends what is new; a line that has not ended waits until `ended`. */
  async carry(ended: boolean): Promise<void> {
    const [source, log] = await Promise.all([open(this.#from, 'r'), open(this.#to, 'a+', 0o600)])
    try {
      let offset = this.#offset ?? (await carried(log))
      this.#offset = undefined
      const { size } = await source.stat()
      while (offset < size) {
        const block = Buffer.allocUnsafe(Math.min(blockBytes, size - offset))
        const { bytesRead } = await source.read(block, 0, block.length, offset)
        const { text, bytes } = records(block.subarray(0, bytesRead), ended && offset + bytesRead === size)
        if (bytes === 0) break
        await log.appendFile(text)
        offset += bytes
      }
      this.#offset = offset
    } finally {
      await Promise.all([source.close(), log.close()])
    }
  }
}

/** Whole lines, and of longer ones as much as a record holds; at the `last` the rest too. */
function records(block: Buffer, last: boolean): { readonly text: Buffer; readonly bytes: number } {
  const head = recordTime(Date.now())
  const parts: Buffer[] = []
  let at = 0
  while (at < block.length) {
    const newline = block.indexOf(0x0a, at)
    const end = newline < 0 ? block.length : newline
    const whole = newline >= 0 && end - at <= longest
    if (!whole && end - at < longest && !last) break
    const stop = whole ? end : Math.min(end, at + longest)
    parts.push(head, Buffer.from(` stdout ${whole ? 'F' : 'P'} `), block.subarray(at, stop), newlineByte)
    at = whole ? end + 1 : stop
  }
  return { text: Buffer.concat(parts), bytes: at }
}

const newlineByte = Buffer.from('\n')

/** Bytes of the source that a log holds; a record that was cut off at its end is removed. */
async function carried(log: FileHandle): Promise<number> {
  const { size } = await log.stat()
  const head = recordTime(0).length + ' stdout F '.length
  const tag = head - 2
  let bytes = 0
  let whole = 0
  let rest = Buffer.alloc(0)
  for (let at = 0; at < size;) {
    const block = Buffer.allocUnsafe(blockBytes)
    const { bytesRead } = await log.read(block, 0, blockBytes, at)
    if (bytesRead === 0) break
    at += bytesRead
    const data = Buffer.concat([rest, block.subarray(0, bytesRead)])
    let start = 0
    for (let end = data.indexOf(0x0a); end >= 0; end = data.indexOf(0x0a, start)) {
      bytes += end - start - head + (data[start + tag] === 0x46 ? 1 : 0)
      whole += end + 1 - start
      start = end + 1
    }
    rest = data.subarray(start)
  }
  if (whole < size) await log.truncate(whole)
  return bytes
}
