import { watch } from 'node:fs'
import { open, readdir, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { PluginError } from '../../errors.ts'
import { readJobState } from './job-state.ts'
import { isBefore, LogCursor, recordTime, sinceOffset, tailOffset, type Records } from './log-records.ts'

/** What a kubelet's containerLogs route offers, over the files of a job directory. */
export interface LogOptions {
  readonly dir: string
  readonly container: string
  /** Name of the pod, for messages. */
  readonly pod?: string
  /** @default the latest */
  readonly attempt?: number
  /** The attempt before; while a container waits to be restarted, the one that has just ended. */
  readonly previous?: boolean
  /** Lines from the end; 0 is none. */
  readonly tailLines?: number
  /** Ends the stream after so many bytes of output. */
  readonly limitBytes?: number
  /** Epoch ms. */
  readonly sinceTime?: number
  readonly timestamps?: boolean
  /** Goes on until the container has ended for good, over its restarts. */
  readonly follow?: boolean
  /** Records of this stream alone. @default both */
  readonly stream?: 'stdout' | 'stderr'
  /** Of one attempt alone, whatever follows it. */
  readonly only?: boolean
  readonly signal?: AbortSignal
  /** Whether the container may still write or be restarted; asked while following. */
  isRunning(): boolean
}

/** File systems that tell nothing of changes are looked at so often while following. */
const POLL_MS = 500

/**
 * The log of a container as bytes. Memory is bounded whatever the size of the log; a reader that stops reading stops
 * the file being read. Destroying the stream, or `signal`, frees the file and the watch.
 * @throws PluginError PLUGIN_NO_PREVIOUS_LOG, PLUGIN_NOT_STARTED
 */
export async function openLog(options: LogOptions): Promise<Readable> {
  const attempt = await chooseAttempt(options)
  // What is written from here on is new, whenever the first byte is read.
  const offset = await startOffset(options, attempt)
  const ended = new AbortController()
  const source = bytes(options, { attempt, offset }, ended.signal)
  const abort = () => stream.destroy()
  const stream = new Readable({
    highWaterMark: 64 * 1024,
    read() {
      source.next().then(
        ({ value, done }) => this.push(done ? null : value),
        (error: Error) => this.destroy(error)
      )
    },
    destroy(error, done) {
      options.signal?.removeEventListener('abort', abort)
      ended.abort()
      source.return(undefined).then(() => done(error), done)
    }
  })
  options.signal?.addEventListener('abort', abort, { once: true })
  if (options.signal?.aborted) abort()
  return stream
}

/** The attempts that have a log, oldest first. */
async function attempts({ dir, container }: LogOptions): Promise<number[]> {
  const names = await readdir(join(dir, 'log')).catch(() => [])
  return names
    .filter((name) => name.startsWith(`${container}.`) && /^\d+$/.test(name.slice(container.length + 1)))
    .map((name) => Number(name.slice(container.length + 1)))
    .sort((a, b) => a - b)
}

async function chooseAttempt(options: LogOptions): Promise<number> {
  const { dir, container, pod = '', follow } = options
  const known = options.attempt === undefined ? (await readJobState(dir)).containers : undefined
  const record = known?.get(container)
  if (options.previous) {
    const latest = options.attempt ?? record?.restarts ?? 0
    const previous = record?.state === 'waiting' && record.last ? latest : latest - 1
    if (previous < 0 || !(await attempts(options)).includes(previous)) {
      throw new PluginError('PLUGIN_NO_PREVIOUS_LOG', { container, pod })
    }
    return previous
  }
  if (options.attempt !== undefined) return options.attempt
  const latest = (await attempts(options)).at(-1)
  if (latest === undefined && !follow && record?.state !== 'running' && options.isRunning()) {
    // The first records of a pod tell that its containers wait; from elsewhere they come one by one.
    const unheard = known?.size ? 'PodInitializing' : 'ContainerCreating'
    throw new PluginError('PLUGIN_NOT_STARTED', { container, pod, reason: record?.reason ?? unheard })
  }
  return latest ?? 0
}

async function* bytes(
  options: LogOptions,
  first: { readonly attempt: number; readonly offset: number },
  ended: AbortSignal
): AsyncGenerator<Buffer> {
  const format = new Format(options)
  const follow = options.follow === true && !options.previous
  const changes = follow ? new Changes(join(options.dir, 'log'), ended) : undefined
  let attempt = first.attempt
  let file: FileHandle | undefined
  try {
    for (;;) {
      const mayGrow = follow && options.isRunning()
      const next =
        follow && !options.only ? (await attempts(options)).find((one) => one > attempt) : undefined
      if (!file) {
        file = await openAttempt(options, attempt)
        if (file) format.cursor = new LogCursor(file, attempt === first.attempt ? first.offset : 0)
      }
      while (format.cursor && !ended.aborted) {
        const records = await format.cursor.next()
        if (!records) break
        const output = format.render(records)
        if (output.length > 0) yield output
        if (format.full) return
      }
      if (ended.aborted) return
      if (next !== undefined) {
        await file?.close()
        file = format.cursor = undefined
        attempt = next
        continue
      }
      if (!mayGrow) return
      await changes?.next()
    }
  } finally {
    changes?.close()
    await file?.close()
  }
}

const openAttempt = ({ dir, container }: LogOptions, attempt: number): Promise<FileHandle | undefined> =>
  open(join(dir, 'log', `${container}.${attempt}`)).catch(() => undefined)

async function startOffset(options: LogOptions, attempt: number): Promise<number> {
  const { tailLines, sinceTime } = options
  if (tailLines === undefined && sinceTime === undefined) return 0
  const file = await openAttempt(options, attempt)
  if (!file) return 0
  try {
    const tail = tailLines === undefined ? 0 : await tailOffset(file, tailLines)
    const since = sinceTime === undefined ? 0 : await sinceOffset(file, recordTime(sinceTime))
    return Math.max(tail, since)
  } finally {
    await file.close()
  }
}

/** Turns records into what the client sees: lines joined, with or without times, cut at the limit. */
class Format {
  cursor: LogCursor | undefined
  readonly #timestamps: boolean
  readonly #since: Buffer | undefined
  readonly #isError: boolean | undefined
  #left: number
  #atLineStart = true

  constructor({ timestamps, sinceTime, limitBytes, stream }: LogOptions) {
    this.#isError = stream && stream === 'stderr'
    this.#timestamps = timestamps ?? false
    this.#since = sinceTime === undefined ? undefined : recordTime(sinceTime)
    this.#left = limitBytes ?? Infinity
  }

  get full(): boolean {
    return this.#left <= 0
  }

  render({ block, records }: Records): Buffer {
    const parts: Buffer[] = []
    for (const { start, isError, text, end, partial } of records) {
      if (this.#isError !== undefined && isError !== this.#isError) continue
      if (this.#since && isBefore(block, start, this.#since)) continue
      if (this.#timestamps && this.#atLineStart) {
        parts.push(block.subarray(start, block.indexOf(0x20, start) + 1))
      }
      parts.push(block.subarray(text, partial ? end : end + 1))
      this.#atLineStart = !partial
    }
    const output = Buffer.concat(parts)
    const cut = output.length > this.#left ? output.subarray(0, this.#left) : output
    this.#left -= cut.length
    return cut
  }
}

/** Waits for a change in a directory: told by the file system where it does, else by time. */
class Changes {
  readonly #ended: AbortSignal
  readonly #watcher: ReturnType<typeof watch> | undefined
  #changed = false
  #wake: (() => void) | undefined

  constructor(directory: string, ended: AbortSignal) {
    this.#ended = ended
    const tell = () => {
      this.#changed = true
      this.#wake?.()
    }
    ended.addEventListener('abort', tell, { once: true })
    try {
      this.#watcher = watch(directory, { persistent: false }, tell)
      this.#watcher.on('error', () => this.#watcher?.close())
    } catch {
      this.#watcher = undefined
    }
  }

  async next(): Promise<void> {
    if (!this.#changed && !this.#ended.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, POLL_MS)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#changed = false
    this.#wake = undefined
  }

  close(): void {
    this.#watcher?.close()
  }
}
