import type { SlurmClient } from './slurm-client.ts'
import { isOver, type SlurmJob } from './states.ts'

/** Accounts follow the controller after a moment; what they have not got by then, they have lost. */
const patienceMs = 10_000

/** What accounting says of jobs that have ended: each is asked for until its end is there, and never again. */
export class EndedJobs {
  readonly #slurm: Pick<SlurmClient, 'ended' | 'keepsAccounts'>
  readonly #now: () => number
  readonly #known = new Map<string, SlurmJob>()
  /** Job id to when it was first asked for, epoch ms. */
  readonly #asked = new Map<string, number>()

  constructor(slurm: Pick<SlurmClient, 'ended' | 'keepsAccounts'>, now: () => number = Date.now) {
    this.#slurm = slurm
    this.#now = now
  }

  get(jobId: string): SlurmJob | undefined {
    return this.#known.get(jobId)
  }

  /** Whether more may still become known of a job. */
  isPending(jobId: string): boolean {
    if (this.#known.has(jobId) || !this.#slurm.keepsAccounts) return false
    return this.#now() - (this.#asked.get(jobId) ?? this.#now()) < patienceMs
  }

  /** Brings the jobs up to date, and forgets all others. */
  async look(jobIds: readonly string[]): Promise<void> {
    const wanted = new Set(jobIds.filter((jobId) => /^\d+$/.test(jobId)))
    for (const map of [this.#known, this.#asked])
      for (const jobId of map.keys()) if (!wanted.has(jobId)) map.delete(jobId)
    const open = [...wanted].filter((jobId) => !this.#asked.has(jobId) || this.isPending(jobId))
    if (open.length === 0) return
    for (const jobId of open) this.#asked.set(jobId, this.#asked.get(jobId) ?? this.#now())
    // Of a job that has just ended, accounts may still say that it runs.
    for (const job of await this.#slurm.ended(open)) if (isOver(job)) this.#known.set(job.jobId, job)
  }
}
