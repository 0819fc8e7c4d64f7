import type { BackendContext } from '../kit/backend.ts'
import { ofJobs, type Whose } from './commands.ts'
import type { CondorClient } from './condor-client.ts'
import { jobStatus, type CondorJob } from './states.ts'

/** What one command names. */
const atOnce = 200

interface Pool {
  readonly condor: Pick<CondorClient, 'remove' | 'forget'>
  whose(): Promise<Whose>
  readonly log: BackendContext['log']
  /** How long HTCondor may take to let go of a job, and again once it was told to. */
  readonly patienceMs: number
}

/**
 * Jobs of pods that have ended. HTCondor lets go of a job within seconds of its last process, unless it has lost sight
 * of its machine: then it waits for that (JobLeaseDuration, 40 minutes by default), be the job removed meanwhile, and
 * may run it once more.
 */
export class EndedPods {
  readonly #pool: Pool
  readonly #now: () => number
  /** By job, epoch ms. */
  readonly #since = new Map<string, number>()

  constructor(pool: Pool, now: () => number = Date.now) {
    this.#pool = pool
    this.#now = now
  }

  add(jobId: string): void {
    if (!this.#since.has(jobId)) this.#since.set(jobId, this.#now())
  }

  /** Removes those that are in the queue all the same, and those that were removed without the word of their machine. */
  async settle(queue: readonly CondorJob[]): Promise<void> {
    const late = this.#late(queue)
    if (late.length === 0) return
    const { condor, log } = this.#pool
    const whose = await this.#pool.whose()
    const [removed, others] = [true, false].map((isRemoved) =>
      late.filter(({ status }) => (status === jobStatus.removed) === isRemoved).map(({ jobId }) => jobId)
    ) as [string[], string[]]
    log.info({ removed, others }, 'jobs stay in the queue though their pods have ended')
    const reason = 'its pod has ended'
    await Promise.all([
      ...(others.length > 0 ? [condor.remove(ofJobs(whose, others), reason)] : []),
      ...(removed.length > 0 ? [condor.forget(ofJobs(whose, removed), reason)] : [])
    ]).catch((err: unknown) => log.warn({ err }, 'they were left there; tried again'))
  }

  #late(queue: readonly CondorJob[]): CondorJob[] {
    const now = this.#now()
    const isLate = (jobId: string) => now - this.#since.get(jobId)! >= this.#pool.patienceMs
    if (![...this.#since.keys()].some(isLate)) return []
    const there = new Set(queue.map(({ jobId }) => jobId))
    for (const jobId of this.#since.keys()) if (isLate(jobId) && !there.has(jobId)) this.#since.delete(jobId)
    const late = queue.filter(({ jobId }) => this.#since.has(jobId) && isLate(jobId)).slice(0, atOnce)
    for (const { jobId } of late) this.#since.set(jobId, now)
    return late
  }
}
