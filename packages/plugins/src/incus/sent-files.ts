/** What assets/incus/send.sh prints, as it comes. */
export type Sent =
  | { readonly kind: 'state'; readonly name: string; readonly bytes: Buffer }
  | { readonly kind: 'log'; readonly name: string; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'end' }

/** A header is far shorter, and so are parts; more is no word of the program. */
const longestHeader = 512
const longestPart = 1024 * 1024
const shape = /^(?<kind>state|log) (?<name>(?!\.)[\w.-]{1,255})(?: (?<offset>\d{1,15}))? (?<size>\d{1,7})$/

/**
 * Parts out of chunks that are cut anywhere. Names are those of plain files: whatever an instance says, nothing but
 * `state/<name>` and `log/<name>` of its own job directory comes of it.
 * @throws where it is no word of the program
 */
export class SentFiles {
  #rest: Buffer = Buffer.alloc(0)

  read(chunk: Buffer): Sent[] {
    const parts: Sent[] = []
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    for (;;) {
      const newline = data.indexOf(0x0a)
      if (newline < 0 && data.length <= longestHeader) break
      const header = data.subarray(0, newline < 0 ? longestHeader : newline).toString('latin1')
      if (header === 'end') {
        parts.push({ kind: 'end' })
        data = data.subarray(newline + 1)
        continue
      }
      const { kind, name = '', offset, size } = shape.exec(header)?.groups ?? {}
      const bytes = Number(size)
      if (!(bytes <= longestPart) || (kind === 'log') !== (offset !== undefined))
        throw new Error(`no word of a job: ${header}`)
      const from = newline + 1
      if (data.length < from + bytes) break
      const part = Buffer.from(data.subarray(from, from + bytes))
      parts.push(
        offset === undefined
          ? { kind: 'state', name, bytes: part }
          : { kind: 'log', name, offset: Number(offset), bytes: part }
      )
      data = data.subarray(from + bytes)
    }
    this.#rest = Buffer.from(data)
    return parts
  }
}
