import { isDeepStrictEqual } from 'node:util'
import type { BackendState } from '../backend.ts'
import { removeEnd, writeEnd, type End } from './job-directory.ts'
import { hasStopped, isUnderWay, submittedJob, type JobEntry } from './job-entry.ts'
import type { JobKeeperOptions } from './job-keeper-options.ts'
import { JobLister, type Standing } from './job-lister.ts'
import { Orphans } from './orphans.ts'
import { requeuedForGood } from './pod-status.ts'
import type { StateFeed } from './state-feed.ts'

/** What the watch asks of the keeper of the jobs. */
export interface WatchedJobs {
  entries(): Iterable<JobEntry>
  entry(uid: string): JobEntry | undefined
  isKnown(uid: string): boolean
  publish(entry: JobEntry): void
  /** The job has ended at that time, epoch ms, without its supervisor's word. */
  lose(entry: JobEntry, at: number): void
}

/** Epoch ms, and what was said. */
export interface Unreachable {
  readonly since: number
  readonly reason: string
}

/** How long a backend may take to say why it has ended a job. */
const reasonMs = 30_000

/** What the backend says of the jobs, beside what their own files say. */
export class BackendWatch {
  readonly #options: JobKeeperOptions
  readonly #now: () => number
  readonly #feed: StateFeed
  readonly #jobs: WatchedJobs
  readonly #orphans: Orphans
  readonly #lister: JobLister
  #unreachable: Unreachable | undefined

  constructor(options: JobKeeperOptions, feed: StateFeed, jobs: WatchedJobs) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#feed = feed
    this.#jobs = jobs
    this.#orphans = new Orphans(options.backend, options.orphans, options.log, this.#now)
    this.#lister = new JobLister({
      ask: () => this.#ask(),
      look: () => this.#look(),
      shortestMs: options.listSeconds * 1000,
      longestMs: Math.max(options.listSeconds, options.idleListSeconds) * 1000
    })
  }

  /** Since when and why the backend does not answer. */
  get unreachable(): Unreachable | undefined {
    return this.#unreachable
  }

  /** Asks at once, and from then on at its own pace. */
  start(): Promise<void> {
    this.#options.backend.onChange?.(() => this.#lister.wake())
    return this.#lister.start()
  }

  /** Something has begun or is about to end. */
  hurry(): void {
    this.#lister.hurry()
  }

  close(): void {
    this.#lister.close()
  }

  /** One question for all jobs that have not stopped. */
  async #ask(): Promise<Standing> {
    const { backend, log } = this.#options
    const asked = [...this.#jobs.entries()].filter(isUnderWay)
    if (asked.length === 0 && !this.#orphans.possible) return 'empty'
    const begun = new Set(asked.filter(({ state }) => state?.supervisor))
    try {
      const states = await backend.list(asked.map(submittedJob))
      this.#unreachable = undefined
      const moved = await Promise.all(
        asked.map((entry) => this.#seen(entry, states.get(entry.uid) ?? { phase: 'gone' }, begun.has(entry)))
      )
      const orphans = await this.#orphans.look((uid) => this.#jobs.isKnown(uid))
      if (orphans || moved.includes(true)) return 'moving'
      return asked.length === 0 ? 'empty' : 'still'
    } catch (err) {
      this.#unreachable ??= { since: this.#now(), reason: (err as Error).message }
      log.warn({ err, backend: backend.name }, 'the backend could not be asked for its jobs')
      return 'still'
    }
  }

  /** What the backend knows by itself; resolves with whether it is to be asked for more soon. */
  async #look(): Promise<boolean> {
    const { backend, log } = this.#options
    const found = new Map<string, { readonly entry: JobEntry; readonly begun: boolean }>()
    try {
      const states = await backend.changed!((uid) => {
        const entry = this.#jobs.entry(uid)
        if (!entry || !isUnderWay(entry)) return undefined
        const job = submittedJob(entry)
        found.set(uid, { entry, begun: job.begun === true })
        return job
      })
      let isOpen = false
      for (const [uid, { entry, begun }] of found) {
        const state = states.get(uid)
        if (!state) continue
        await this.#seen(entry, state, begun)
        isOpen ||= isWatched(entry)
      }
      return isOpen
    } catch (err) {
      log.warn({ err, backend: backend.name }, 'what the backend knows of its jobs could not be had')
      return true
    }
  }

  /** `begun`: its supervisor had been seen before the question. Resolves with whether more is to be expected soon. */
  async #seen(entry: JobEntry, said: BackendState, begun: boolean): Promise<boolean> {
    const seen = said.phase === 'gone' || said.taken || entry.end ? await this.#keepEnd(entry, said) : said
    const changed = !isDeepStrictEqual(seen, entry.backend)
    // Its words are in the status as well: one copy of them for the thousands that wait.
    if (changed) entry.backend = seen
    if (seen.phase === 'gone') {
      await this.#feed.refresh(entry.uid)
      if (entry.unexplainedSince !== undefined) this.#explained(entry)
      if (hasStopped(entry)) return true
      this.#doubt(entry, seen)
    } else {
      delete entry.goneSince
      if (changed) this.#feed.hurry(entry.uid)
      else if (seen.phase === 'queued') this.#feed.rest(entry.uid)
      if (seen.phase === 'queued' && begun) this.#requeued(entry)
      else if (this.#isOverdue(entry)) this.#jobs.lose(entry, entry.state!.finished!.at)
      // Most jobs of a long queue.
      else if (!changed) return isWatched(entry)
    }
    this.#jobs.publish(entry)
    return changed || isWatched(entry)
  }

  /** The first reason that is said of an end stays, and the address of before. */
  async #keepEnd(entry: JobEntry, seen: BackendState): Promise<BackendState> {
    const end = endOf(seen)
    if (seen.phase !== 'gone' && !end) {
      await removeEnd(entry.dir)
      delete entry.end
    } else if (end && !entry.end) {
      entry.end = end
      await writeEnd(entry.dir, end).catch((err: unknown) =>
        this.#options.log.warn({ uid: entry.uid, err }, 'the end of a job could not be kept')
      )
    }
    if (seen.phase !== 'gone') return seen
    const podIP = seen.podIP ?? entry.backend?.podIP
    return { ...(entry.end ? lastState(entry.end) : seen), ...(podIP === undefined ? {} : { podIP }) }
  }

  /** The backend has no such job: it is lost unless its supervisor says otherwise for a while. */
  #doubt(entry: JobEntry, { endedAt = 0 }: BackendState): void {
    const now = this.#now()
    entry.goneSince ??= now
    const patience = entry.deletion ? 0 : this.#options.lostSeconds * 1000
    const silentSince = entry.beat?.seenAt ?? entry.createdAt
    if (now - entry.goneSince >= patience && now - silentSince >= patience)
      this.#jobs.lose(entry, Math.max(endedAt, entry.beat?.at ?? entry.createdAt))
  }

  /** A pod that is never restarted has come to its end; any other is started again by the backend. */
  #requeued(entry: JobEntry): void {
    delete entry.unexplainedSince
    entry.requeuedRun ??= entry.state?.supervisor?.startedAt
    if (entry.outline.restartPolicy !== 'Never' || entry.deletion) return
    entry.backend = requeuedForGood(entry.backend)
    this.#jobs.lose(entry, entry.beat?.at ?? entry.createdAt)
  }

  #isOverdue({ unexplainedSince }: JobEntry): boolean {
    return unexplainedSince !== undefined && this.#now() - unexplainedSince >= reasonMs
  }

  #explained(entry: JobEntry): void {
    delete entry.unexplainedSince
    this.#jobs.publish(entry)
  }
}

/** More is to be expected of it soon. */
const isWatched = ({ deletion, goneSince, unexplainedSince }: JobEntry): boolean =>
  (deletion ?? goneSince ?? unexplainedSince) !== undefined

const lastState = ({ early: _, ...state }: End): BackendState => state

function endOf({ phase, reason, message, endedAt, taken }: BackendState): End | undefined {
  if (taken) return { phase: 'gone', ...taken, early: true }
  if (phase !== 'gone' || reason === undefined) return undefined
  return {
    phase,
    reason,
    ...(message === undefined ? {} : { message }),
    ...(endedAt === undefined ? {} : { endedAt })
  }
}
