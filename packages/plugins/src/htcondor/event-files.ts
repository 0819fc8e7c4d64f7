/** The event logs of a root: one file a day, as they only ever grow; they are read from where they were left. */
import { watch, type FSWatcher } from 'node:fs'
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { shellQuote } from '../kit/supervisor/quote.ts'
import type { Transport } from '../kit/transport/transport.ts'
import { parseEvents, type JobEvent } from './event-log.ts'

/** Of the logs, in the root of the job directories. */
export const eventDirectory = '.events'
const remoteMs = 30_000
/** What is written in so long is told of together. */
const wakeMs = 100

/** Where the files are. */
export interface EventFolder {
  /** Of the files, as HTCondor sees it; it is there. */
  path(): Promise<string>
  /** What is new of each file behind its offset, by name. */
  read(offsets: ReadonlyMap<string, number>): Promise<ReadonlyMap<string, Buffer>>
  remove(name: string): Promise<void>
  /** Calls when something has changed, where that can be known. */
  watch?(changed: () => void): FSWatcher
}

/** HTCondor writes into the root of the plugin. */
export function localFolder(root: string): EventFolder {
  const dir = join(root, eventDirectory)
  return {
    async path() {
      await mkdir(dir, { recursive: true, mode: 0o700 })
      return dir
    },
    async read(offsets) {
      const names = await readdir(dir).catch(() => [])
      const found = await Promise.all(
        names.map(async (name) => [name, await readFrom(join(dir, name), offsets.get(name) ?? 0)] as const)
      )
      return new Map(found)
    },
    remove: (name) => rm(join(dir, name), { force: true }),
    watch: (changed) => watch(dir, { persistent: false }, changed)
  }
}

async function readFrom(path: string, offset: number): Promise<Buffer> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const bytes = Buffer.alloc(Math.max(0, size - offset))
    const { bytesRead } = await file.read(bytes, 0, bytes.length, offset)
    return bytes.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Behind a transport; `path` is a directory there that no other plugin has. */
export function remoteFolder(transport: Transport, path: () => Promise<string>): EventFolder {
  let made: Promise<string> | undefined
  const sh = async (script: string, input = '') => {
    const ran = await transport.run(['sh', '-c', script, await path()], { input, timeoutMs: remoteMs })
    if (ran.code !== 0) throw new Error(`event logs on ${transport.where}: ${ran.stderr.trim().slice(-256)}`)
    return ran.stdout.toString()
  }
  return {
    path() {
      made ??= sh('umask 077; mkdir -p -- "$0"').then(path)
      made.catch(() => (made = undefined))
      return made
    },
    async read(offsets) {
      const known = [...offsets].map(([name, offset]) => `${name} ${offset}\n`).join('')
      const said = await sh(reading, known)
      return new Map(
        said.split('\n').flatMap((line) => {
          const [name, base64] = line.split('\t')
          return name && base64 !== undefined ? [[name, Buffer.from(base64, 'base64')] as const] : []
        })
      )
    },
    remove: async (name) => void (await sh(`cd -- "$0" && rm -f -- ${shellQuote(name)}`))
  }
}

/** Standard input: `name offset` of the files that are known. */
const reading = `cd -- "$0" 2>/dev/null || exit 0
known=$(cat)
for name in [0-9]*; do
  [ -e "$name" ] || continue
  offset=$(printf '%s\\n' "$known" | sed -n "s/^$name //p")
  printf '%s\\t' "$name"
  tail -c "+$((\${offset:-0} + 1))" -- "$name" | base64 | tr -d '\\n'
  echo
done`

const dayMs = 86_400_000
const dayOf = (epochMs: number): string => new Date(epochMs).toISOString().slice(0, 10)

/** All event logs of a root, as one. */
export class EventFiles {
  readonly #folder: EventFolder
  readonly #now: () => number
  readonly #offsets = new Map<string, number>()
  readonly #rests = new Map<string, string>()
  #reading: Promise<readonly JobEvent[]> | undefined
  #watcher: FSWatcher | undefined
  #waking: NodeJS.Timeout | undefined
  #closed = false

  constructor(folder: EventFolder, now: () => number = Date.now) {
    this.#folder = folder
    this.#now = now
  }

  /** For the submit description of a job of now. */
  async path(): Promise<string> {
    return join(await this.#folder.path(), dayOf(this.#now()))
  }

  /** What has been written since, each event once; whoever asks meanwhile gets the same. */
  read(): Promise<readonly JobEvent[]> {
    this.#reading ??= this.#readOn().finally(() => (this.#reading = undefined))
    return this.#reading
  }

  async #readOn(): Promise<JobEvent[]> {
    const found: JobEvent[] = []
    const parts = await this.#folder.read(this.#offsets)
    for (const name of [...parts.keys()].sort()) {
      const part = parts.get(name)!
      if (!/^\d{4}-\d\d-\d\d$/.test(name) || part.length === 0) continue
      this.#offsets.set(name, (this.#offsets.get(name) ?? 0) + part.length)
      // An event is ASCII but for what it quotes: a character that is cut in two costs its sign alone.
      const { events, rest } = parseEvents((this.#rests.get(name) ?? '') + part.toString('utf8'))
      this.#rests.set(name, rest)
      found.push(...events)
    }
    return found
  }

  /** Removes the files in which no job writes any more: `oldestMs` is when the oldest one was submitted. */
  async prune(oldestMs: number | undefined): Promise<void> {
    const keep = dayOf(Math.min(oldestMs ?? Infinity, this.#now()) - dayMs)
    for (const name of [...this.#offsets.keys()].filter((each) => each < keep)) {
      await this.#folder.remove(name)
      this.#offsets.delete(name)
      this.#rests.delete(name)
    }
  }

  /** Calls when something has been written, where that can be known. */
  async watch(changed: () => void): Promise<void> {
    if (!this.#folder.watch) return
    await this.#folder.path()
    const watcher = this.#folder.watch(() => {
      this.#waking ??= setTimeout(() => {
        this.#waking = undefined
        changed()
      }, wakeMs).unref()
    })
    this.#watcher = watcher.on('error', () => {})
    if (this.#closed) watcher.close()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#waking)
    this.#watcher?.close()
  }
}
