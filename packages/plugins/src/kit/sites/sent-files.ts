/** What assets/sites/send.sh prints, as it comes, and as it is kept. */
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { appendMirrored, mirroredBytes, replaceMirrored } from '../jobs/mirrored-files.ts'
import type { JobFile } from '../supervisor/render-job.ts'

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

let program: Promise<string> | undefined

/** The program, read once. */
export async function sendProgram(): Promise<JobFile> {
  program ??= readFile(new URL('../../../assets/sites/send.sh', import.meta.url), 'utf8')
  return { path: 'send.sh', mode: 0o600, text: await program }
}

/** Arguments for it behind the job directory: of each log how much of it is here. Makes the directories. */
export async function logsHad(dir: string): Promise<string[]> {
  for (const kind of ['state', 'log']) await mkdir(join(dir, kind), { recursive: true, mode: 0o700 })
  const names = await readdir(join(dir, 'log'))
  const had = await Promise.all(
    names.map(async (name) => [name, String(await mirroredBytes(join(dir, 'log', name)))])
  )
  return had.flat()
}

/**
 * Keeps what comes in the job directory; resolves with whether the end of the pod has come too.
 * @param beforeEnd what is to be there before the end of the pod is
 */
export async function keepSent(
  chunks: AsyncIterable<Buffer>,
  dir: string,
  beforeEnd?: () => Promise<void>
): Promise<boolean> {
  const sent = new SentFiles()
  let ended = false
  for await (const chunk of chunks)
    for (const part of sent.read(chunk)) {
      if (part.kind === 'end') ended = true
      else if (part.kind === 'state') {
        if (part.name === 'pod') await beforeEnd?.()
        await replaceMirrored(join(dir, 'state', part.name), part.bytes)
      } else await keepLog(join(dir, 'log', part.name), part)
    }
  return ended
}

/** Of a part that begins before the end of the log, the rest is new. */
async function keepLog(path: string, { offset, bytes }: { offset: number; bytes: Buffer }): Promise<void> {
  const had = await mirroredBytes(path)
  if (had >= offset && had < offset + bytes.length)
    await appendMirrored(path, had, bytes.subarray(had - offset))
}
