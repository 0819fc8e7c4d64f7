import { watch, type FSWatcher } from 'node:fs'
import { join } from 'node:path'
import { nothing, type JobState } from './job-state.ts'

export interface StateFeedOptions {
  read(dir: string): Promise<JobState>
  onState(uid: string, state: JobState): void
  onError(uid: string, error: unknown): void
  /** Epoch ms. */
  now(): number
}

interface Followed {
  readonly uid: string
  readonly dir: string
  watcher: FSWatcher | undefined
  text: string
  interval: number
  nextRead: number
  told: boolean
  waits: boolean
  reading: Promise<void> | undefined
  again: boolean
}

const tickMs = 1000
/** Where the file system tells of changes, a look now and then covers what it did not tell. */
const watchedMs = 60_000
const firstMs = 1000
const slowestMs = 9000
const atOnce = 16
/** With more jobs than this, those that wait for their turn are not watched: a kernel has only so many inotify watches. */
const watchAllUpTo = 1000

/**
 * Follows the state files of jobs: by inotify where the file system offers it, and by looking, the more seldom the
 * longer nothing has changed. One timer for all jobs; a job at which nothing happens costs one read a minute.
 */
export class StateFeed {
  readonly #options: StateFeedOptions
  readonly #jobs = new Map<string, Followed>()
  readonly #queue = new Set<Followed>()
  readonly #timer: NodeJS.Timeout
  /** The file system has told of a change, which a network file system does not. */
  #tells = false
  #active = 0

  constructor(options: StateFeedOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#tick(), tickMs)
    this.#timer.unref()
  }

  follow(uid: string, dir: string): void {
    if (this.#jobs.has(uid)) return
    const job: Followed = {
      uid,
      dir,
      watcher: undefined,
      text: '',
      interval: firstMs,
      nextRead: 0,
      told: false,
      waits: false,
      reading: undefined,
      again: false
    }
    this.#jobs.set(uid, job)
    this.#watch(job)
    this.#enqueue(job)
  }

  forget(uid: string): void {
    const job = this.#jobs.get(uid)
    if (!job) return
    this.#jobs.delete(uid)
    this.#queue.delete(job)
    unwatch(job)
  }

  /** Something has happened to the job of which the file system need not tell. */
  hurry(uid: string): void {
    const job = this.#jobs.get(uid)
    if (!job) return
    job.interval = firstMs
    job.waits = false
    this.#enqueue(job)
  }

  /** It waits for its turn, and somebody will call {@link hurry} when it has come: until then nothing is written. */
  rest(uid: string): void {
    const job = this.#jobs.get(uid)
    if (!job || job.waits) return
    job.waits = true
    if (this.#jobs.size > watchAllUpTo) unwatch(job)
  }

  /** Reads a job's files now; resolves after {@link StateFeedOptions.onState} was told of them. */
  async refresh(uid: string): Promise<void> {
    const job = this.#jobs.get(uid)
    if (!job) return
    await job.reading
    await this.#read(job)
  }

  close(): void {
    clearInterval(this.#timer)
    for (const uid of [...this.#jobs.keys()]) this.forget(uid)
  }

  #watch(job: Followed): void {
    try {
      job.watcher = watch(join(job.dir, 'state'), { persistent: false }, (_, name) => {
        if (name === null || name.endsWith('.tmp') || name === 'supervisor') return
        job.told = true
        this.#enqueue(job)
      })
      job.watcher.on('error', () => unwatch(job))
    } catch {
      job.watcher = undefined
    }
  }

  #tick(): void {
    const now = this.#options.now()
    for (const job of this.#jobs.values()) if (job.nextRead <= now) this.#enqueue(job)
  }

  #enqueue(job: Followed): void {
    if (job.reading) job.again = true
    else this.#queue.add(job)
    this.#drain()
  }

  #drain(): void {
    while (this.#active < atOnce) {
      const [job] = this.#queue
      if (!job) return
      this.#queue.delete(job)
      this.#active++
      void this.#read(job).finally(() => {
        this.#active--
        this.#drain()
      })
    }
  }

  async #read(job: Followed): Promise<void> {
    job.again = false
    job.reading = this.#readOnce(job)
    await job.reading
    job.reading = undefined
    if (job.again && this.#jobs.has(job.uid)) this.#enqueue(job)
  }

  async #readOnce(job: Followed): Promise<void> {
    const { told } = job
    job.told = false
    if (!job.watcher && !job.waits) this.#watch(job)
    try {
      const state = await this.#options.read(job.dir)
      if (!this.#jobs.has(job.uid)) return
      const text = textOf(state)
      const changed = text !== job.text
      if (changed && told) this.#tells = true
      job.text = text
      job.interval = changed ? firstMs : Math.min(job.interval * 2, slowestMs)
      this.#options.onState(job.uid, state)
    } catch (error) {
      job.interval = slowestMs
      this.#options.onError(job.uid, error)
    } finally {
      job.nextRead =
        this.#options.now() + (job.waits || (job.watcher && this.#tells) ? watchedMs : job.interval)
    }
  }
}

/** What tells one state from another; of one that says nothing, nothing is kept. */
function textOf(state: JobState): string {
  if (state === nothing) return ''
  const { supervisor: _, ...words } = state
  return JSON.stringify({ ...words, containers: [...state.containers] })
}

function unwatch(job: Followed): void {
  job.watcher?.close()
  job.watcher = undefined
}
