/** What is known of the jobs of a root: the queue's word, and what the event log has told since. */
import type { EventFiles } from './event-files.ts'
import { afterEvent } from './event-log.ts'
import { jobStatus, type CondorJob } from './states.ts'

/** Of HTCondor's clients; both are of the jobs of this root alone. */
export interface JobSource {
  queue(): Promise<CondorJob[]>
  /** Of jobs that have left the queue since then, epoch ms. */
  history(jobIds: readonly string[], sinceMs: number): Promise<CondorJob[]>
}

/** The queue writes its history a moment after a job has left it. */
const patienceMs = 10_000
const atOnce = 200

export class JobTable {
  readonly #source: JobSource
  readonly #events: EventFiles | undefined
  readonly #everyMs: number
  readonly #now: () => number
  #queue = new Map<string, CondorJob>()
  /** Jobs that have ended, and jobs that were asked for in vain, with when that began. */
  readonly #ended = new Map<string, CondorJob>()
  readonly #sought = new Map<string, number>()
  #askedAt = -Infinity

  constructor(
    source: JobSource,
    events: EventFiles | undefined,
    { everyMs, now = Date.now }: { readonly everyMs: number; readonly now?: () => number }
  ) {
    this.#source = source
    this.#events = events
    this.#everyMs = everyMs
    this.#now = now
  }

  /** A job that has just been handed over need not be asked for. */
  add(job: CondorJob): void {
    this.#queue.set(job.jobId, job)
  }

  get(jobId: string): CondorJob | undefined {
    return this.#ended.get(jobId) ?? this.#queue.get(jobId)
  }

  /** Whether more may still become known of a job that has left the queue. */
  isPending(jobId: string): boolean {
    const since = this.#sought.get(jobId)
    return since !== undefined && this.#now() - since < patienceMs
  }

  /** What the queue holds. */
  inQueue(): CondorJob[] {
    return [...this.#queue.values()].filter(({ hasLeft }) => !hasLeft)
  }

  /**
   * Brings the jobs up to date, and forgets others that have ended. `isBegun` tells of a job whose own files are
   * ahead of what is known here: then the queue is asked, as it is where the last answer is old.
   */
  async look(jobIds: readonly string[], isBegun: (jobId: string) => boolean): Promise<void> {
    const wanted = new Set(jobIds)
    for (const map of [this.#ended, this.#sought])
      for (const jobId of map.keys()) if (!wanted.has(jobId)) map.delete(jobId)
    await this.readEvents()
    if (this.#isDoubtful(jobIds, isBegun)) await this.#ask()
    await this.#seek(jobIds.filter((jobId) => !this.get(jobId)))
  }

  /** Takes what the event log has told since; resolves with the jobs that it is of. */
  async readEvents(): Promise<CondorJob[]> {
    const changed = new Set<string>()
    for (const event of (await this.#events?.read().catch(() => [])) ?? []) {
      const job = this.#queue.get(event.jobId)
      if (!job) continue
      const next = afterEvent(job, event)
      this.#queue.set(job.jobId, next)
      changed.add(job.jobId)
      if (next.hasLeft) this.#ended.set(job.jobId, { ...next, sinceAt: this.#now() })
    }
    return [...changed].map((jobId) => this.get(jobId)!)
  }

  #isDoubtful(jobIds: readonly string[], isBegun: (jobId: string) => boolean): boolean {
    if (!this.#events || this.#now() - this.#askedAt >= this.#everyMs) return true
    for (const jobId of jobIds) {
      const job = this.get(jobId)
      if (!job && !this.#sought.has(jobId)) return true
      if (job?.status === jobStatus.idle && isBegun(jobId)) return true
    }
    return false
  }

  async #ask(): Promise<void> {
    const asked = this.#now()
    const jobs = await this.#source.queue()
    this.#askedAt = asked
    const known = new Map(jobs.map((job) => [job.jobId, job]))
    // One that was handed over while the question was under way is none of the answer's.
    for (const [jobId, job] of this.#queue)
      if (!known.has(jobId) && (job.queuedAt ?? 0) >= asked) known.set(jobId, job)
    for (const job of jobs) if (job.hasLeft) this.#ended.set(job.jobId, job)
    this.#queue = known
    const oldest = jobs.reduce((least, { queuedAt }) => Math.min(least, queuedAt ?? asked), asked)
    await this.#events?.prune(oldest)
  }

  /** Each job that has left is asked for until it is found or has been sought for long enough. */
  async #seek(jobIds: readonly string[]): Promise<void> {
    const now = this.#now()
    const open = jobIds.filter((jobId) => !this.#sought.has(jobId) || this.isPending(jobId))
    for (const jobId of open) if (!this.#sought.has(jobId)) this.#sought.set(jobId, now)
    for (let at = 0; at < open.length; at += atOnce)
      for (const job of await this.#source
        .history(open.slice(at, at + atOnce), now - historyMs)
        .catch(() => []))
        this.#ended.set(job.jobId, job)
  }
}

/** What has left the queue longer ago is not looked for: histories are long. */
const historyMs = 7 * 86_400_000
