import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { appendMirrored, mirroredBytes, replaceMirrored } from '../jobs/mirrored-files.ts'
import { packJob } from '../jobs/pack-job.ts'
import { sharedSite, type Site } from './site.ts'
import { wordsOf } from '../transport/words.ts'
import type { Ran, Transport } from '../transport/transport.ts'

const stageMs = 300_000
const fetchMs = 60_000
const shortestMs = 1000
const longestMs = 5000
/** Of one log at a time; the rest follows. */
const chunkBytes = 4 * 1024 * 1024

/** Files below the directories that are named on standard input: path, bytes and time of change. */
const listing = `cd -- "$0" && xargs -r sh -c 'find "$@" -type f ! -name "*.tmp" -printf "%p\\t%s\\t%T@\\t%i\\n" 2>/dev/null; true' sh`
/**
 * For each `offset inode path` of standard input: offset and path again, and the bytes from there on in base64. A state
 * that was written after the listing is left for the next turn: its log may not have been listed yet.
 */
const reading = `cd -- "$0" && while read -r offset inode path; do
  [ "$(stat -c %i -- "$path" 2>/dev/null)" = "$inode" ] || continue
  printf '%s\\t%s\\t' "$offset" "$path"
  tail -c "+$((offset + 1))" -- "$path" 2>/dev/null | head -c ${chunkBytes} | base64 | tr -d '\\n'
  echo
done`
/** Whole or not at all: a name that begins with a dot is no job directory yet. */
const unpacking = `umask 077; mkdir -p -- "$0" && cd -- "$0" && rm -rf -- ".up-$1" && mkdir -- ".up-$1" && tar -xpof - -C ".up-$1" &&
  { [ ! -e "$1/submit.lock" ] || mv -- "$1/submit.lock" ".up-$1/"; } && rm -rf -- "$1" && mv -- ".up-$1" "$1"`
/** Files first; then the name of the container, by which the supervisor knows that they are there. */
const adding = `umask 077; cd -- "$0/$1" && tar -xpof - &&
  { cat additions 2>/dev/null; printf '%s\\n' "$2"; } >additions.tmp && mv -- additions.tmp additions`
const writing = `umask 077; cd -- "$0" 2>/dev/null || exit 0; cat >"$1.tmp" && mv -- "$1.tmp" "$1"`
/** Of the directories that are named on standard input: the lines of `usage`, each behind its path; then `measure`. */
const measuring = `cd -- "$0" && names=$(cat) && printf '%s/usage\\n' $names | xargs -r grep -sH ''
printf '%s/measure\\n' $names | xargs -r touch 2>/dev/null; true`

interface Found {
  readonly path: string
  readonly bytes: number
  readonly inode: string
  readonly signature: string
}

/** The nodes see a file system that the plugin does not: directories are copied there, state and logs from there. */
export class RemoteSite implements Site {
  readonly #transport: Transport
  readonly #root: string
  #home: Promise<string> | undefined
  /** What was last taken over of each file. */
  readonly #seen = new Map<string, string>()
  readonly #released = new Set<string>()
  /** Directories of jobs that may still write. */
  readonly #followed = new Set<string>()
  #fetching: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #pauseMs = shortestMs
  #closed = false

  constructor(transport: Transport, root: string) {
    this.#transport = transport
    this.#root = root
  }

  async seenAs(dir: string): Promise<string> {
    return join(await this.#absoluteRoot(), basename(dir))
  }

  /** What `~` is there is asked for once. */
  #absoluteRoot(): Promise<string> {
    if (!this.#root.startsWith('~/')) return Promise.resolve(this.#root)
    this.#home ??= this.#run(['sh', '-c', 'printf %s "$HOME"'], undefined, fetchMs).then(({ stdout }) =>
      stdout.toString()
    )
    this.#home.catch(() => (this.#home = undefined))
    return this.#home.then((home) => join(home, this.#root.slice(2)))
  }

  async stage(dir: string): Promise<void> {
    await this.#sh(unpacking, [basename(dir)], await packJob(dir), stageMs)
    this.#followed.add(dir)
    this.#follow(true)
  }

  async add(dir: string, container: string): Promise<void> {
    const wanted = [`./c/${container}`, ...(existsSync(join(dir, 'session.pl')) ? ['./session.pl'] : [])]
    await this.#sh(adding, [basename(dir), container], await packJob(dir, wanted), stageMs)
    this.#follow(true)
  }

  async ensure(dir: string): Promise<void> {
    await this.#sh('umask 077; mkdir -p -- "$0/$1"', [basename(dir)])
  }

  async fetch(dirs: readonly string[]): Promise<void> {
    for (const dir of dirs) this.#followed.add(dir)
    await this.#fetching?.catch(() => {})
    await this.#fetchOnce()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  /** Between two questions of the plugin: often while something happens, more seldom the longer nothing does. */
  #follow(changed: boolean): void {
    this.#pauseMs = changed ? shortestMs : Math.min(this.#pauseMs * 1.5, longestMs)
    clearTimeout(this.#timer)
    if (this.#closed || this.#followed.size === 0) return
    // What goes wrong here goes wrong for the plugin's own question too, which tells of it.
    this.#timer = setTimeout(() => void this.#fetchOnce().catch(() => {}), this.#pauseMs)
    this.#timer.unref()
  }

  #fetchOnce(): Promise<void> {
    this.#fetching ??= this.#fetchAll([...this.#followed])
      .then(
        (changed) => this.#follow(changed),
        (error: unknown) => {
          this.#follow(false)
          throw error
        }
      )
      .finally(() => (this.#fetching = undefined))
    return this.#fetching
  }

  /** Whether anything had changed. */
  async #fetchAll(dirs: readonly string[]): Promise<boolean> {
    if (dirs.length === 0) return false
    const local = new Map(dirs.map((dir) => [basename(dir), dir]))
    const names = [...local.keys()].flatMap((name) => [`./${name}/state`, `./${name}/log`])
    const found = parseListing((await this.#sh(listing, [], names.join('\n'), fetchMs)).stdout.toString())
    const finished = new Set(
      found.filter(({ path }) => path.endsWith('/state/pod')).map(({ path }) => jobOf(path))
    )
    const wanted: { readonly file: Found; readonly offset: number }[] = []
    for (const file of found) {
      const to = this.#place(file, local)
      if (to === undefined) continue
      const isLog = kindOf(file.path) === 'log'
      // What a job has said last is all there once its end is.
      if (this.#seen.get(file.path) === file.signature && !(isLog && finished.has(jobOf(file.path)))) continue
      wanted.push({ file, offset: isLog ? await mirroredBytes(to) : 0 })
    }
    if (wanted.length === 0) return false
    // Read in the order opposite to that in which they are written.
    wanted.sort((a, b) => rank(b.file.path) - rank(a.file.path))
    const request = wanted.map(({ file, offset }) => `${offset} ${file.inode} ${file.path}\n`).join('')
    const parts = parseParts((await this.#sh(reading, [], request, fetchMs)).stdout.toString())
    const signatures = new Map(found.map((file) => [file.path, file]))
    // Logs first: an end that is seen has its log.
    const order = [...parts].sort((a, b) => rank(a.path) - rank(b.path))
    for (const part of order) {
      const file = signatures.get(part.path)
      const to = file && this.#place(file, local)
      if (!file || to === undefined) continue
      await mkdir(dirname(to), { recursive: true, mode: 0o700 })
      if (kindOf(part.path) === 'log') await appendMirrored(to, part.offset, part.bytes)
      else if (part.bytes.length > 0) await replaceMirrored(to, part.bytes)
      const all = kindOf(part.path) !== 'log' || part.offset + part.bytes.length >= file.bytes
      if (all) this.#seen.set(part.path, file.signature)
    }
    return wanted.some(({ file }) => !file.path.endsWith('/state/supervisor'))
  }

  async stop(dir: string, graceSeconds: number): Promise<void> {
    await sharedSite.stop(dir, graceSeconds)
    await this.write(dir, 'stop', `${graceSeconds}\n`)
  }

  async write(dir: string, name: string, text: string): Promise<void> {
    await this.#run(['sh', '-c', writing, await this.seenAs(dir), name], text, fetchMs)
  }

  async read(dir: string, name: string): Promise<string | undefined> {
    const ran = await this.#transport.run(['cat', '--', join(await this.seenAs(dir), name)], {
      timeoutMs: fetchMs
    })
    return ran.code === 0 ? ran.stdout.toString() : undefined
  }

  async usage(dirs: readonly string[]): Promise<ReadonlyMap<string, string>> {
    if (dirs.length === 0) return new Map()
    const names = dirs.map((dir) => basename(dir)).join('\n')
    const { stdout } = await this.#sh(measuring, [], names, fetchMs)
    const texts = new Map<string, string[]>()
    for (const line of stdout.toString().split('\n')) {
      const [, name, text] = /^([^/]+)\/usage:(.*)$/.exec(line) ?? []
      if (name) texts.set(name, [...(texts.get(name) ?? []), text!])
    }
    return new Map(dirs.flatMap((dir) => [[dir, texts.get(basename(dir))?.join('\n') ?? ''] as const]))
  }

  async release(dir: string): Promise<void> {
    const name = basename(dir)
    if (this.#released.has(name)) return
    this.#released.add(name)
    this.#followed.delete(dir)
    try {
      await this.#sh('cd -- "$0" && { chmod -R u+rwx -- "$1" 2>/dev/null; rm -rf -- "$1"; }', [name])
    } catch (error) {
      this.#released.delete(name)
      throw error
    }
    for (const path of this.#seen.keys()) if (jobOf(path) === name) this.#seen.delete(path)
  }

  /** Only what a supervisor writes, and only of jobs that were asked for, finds a place here. */
  #place({ path }: Found, local: ReadonlyMap<string, string>): string | undefined {
    const match = /^\.\/([^/]+)\/(state|log)\/([\w.-]+)$/.exec(path)
    const dir = match ? local.get(match[1]!) : undefined
    return dir === undefined ? undefined : join(dir, match![2]!, match![3]!)
  }

  async #sh(
    script: string,
    args: readonly string[],
    input?: string | Buffer,
    timeoutMs = fetchMs
  ): Promise<Ran> {
    return this.#run(['sh', '-c', script, await this.#absoluteRoot(), ...args], input, timeoutMs)
  }

  async #run(argv: readonly string[], input: string | Buffer | undefined, timeoutMs: number): Promise<Ran> {
    const ran = await this.#transport.run(argv, { ...(input === undefined ? {} : { input }), timeoutMs })
    if (ran.code !== 0)
      throw new Error(
        `job directories on ${this.#transport.where}: ${wordsOf(ran.stderr) || `ended with ${ran.code ?? 'a signal'}`}`
      )
    return ran
  }
}

const jobOf = (path: string): string => path.split('/')[1] ?? ''
const kindOf = (path: string): string => path.split('/')[2] ?? ''
/** A word from outside comes before the end of the containers, and that before the end of the pod. */
const rank = (path: string): number =>
  kindOf(path) === 'log' ? 0 : path.endsWith('/state/supervisor') ? 1 : path.endsWith('/state/pod') ? 3 : 2

function parseListing(text: string): Found[] {
  return text.split('\n').flatMap((line) => {
    const [path, bytes, changed, inode] = line.split('\t')
    return path && inode
      ? [{ path, bytes: Number(bytes), inode, signature: `${bytes} ${changed} ${inode}` }]
      : []
  })
}

function parseParts(
  text: string
): { readonly path: string; readonly offset: number; readonly bytes: Buffer }[] {
  return text.split('\n').flatMap((line) => {
    const [offset, path, base64] = line.split('\t')
    return path && base64 !== undefined
      ? [{ path, offset: Number(offset), bytes: Buffer.from(base64, 'base64') }]
      : []
  })
}
