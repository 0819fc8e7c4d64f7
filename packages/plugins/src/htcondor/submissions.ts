import { PluginError } from '../errors.ts'
import type { CondorClient } from './condor-client.ts'
import { commonOf, tableOf, textOf, type Described } from './description-text.ts'

/** Jobs of one condor_submit. */
const mostTogether = 50

export interface SubmissionOptions {
  readonly condor: Pick<CondorClient, 'submit'>
  /** condor_submit at the same time. */
  readonly atOnce: number
  /** The files go with the jobs to the queue. */
  readonly isSpooled: boolean
}

interface Waiting {
  readonly job: Described
  readonly lock: string
  readonly common: string | undefined
  taken(jobId: string): void
  failed(error: unknown): void
}

/**
 * Jobs on their way to the queue. One that comes while nothing like it is under way goes at once and alone; what comes
 * meanwhile goes together.
 */
export class Submissions {
  readonly #options: SubmissionOptions
  readonly #waiting: Waiting[] = []
  /** By what the jobs of each have in common. */
  readonly #underWay = new Set<string | symbol>()
  /** Locks of jobs that were in a submission that has failed: the next time they go alone. */
  readonly #alone = new Set<string>()

  constructor(options: SubmissionOptions) {
    this.#options = options
  }

  /**
   * Hands a job over; `lock` is a file of its own that is held meanwhile.
   * @throws PluginError `PLUGIN_BACKEND_REFUSED` for good, any other error where a later try may do
   */
  submit(job: Described, lock: string): Promise<string> {
    return new Promise((taken, failed) => {
      const common = this.#alone.has(lock) ? undefined : commonOf(job)
      this.#waiting.push({ job, lock, common, taken, failed })
      this.#next()
    })
  }

  /** Of a job that will not come again. */
  forget(lock: string): void {
    this.#alone.delete(lock)
  }

  #next(): void {
    while (this.#underWay.size < this.#options.atOnce) {
      const first = this.#waiting.find(({ common }) => common === undefined || !this.#underWay.has(common))
      if (!first) return
      const isTaken = (each: Waiting) =>
        each === first || (each.common === first.common && each.common !== undefined)
      const together = this.#waiting.filter(isTaken).slice(0, mostTogether)
      for (const each of together) this.#waiting.splice(this.#waiting.indexOf(each), 1)
      const mark = first.common ?? Symbol()
      this.#underWay.add(mark)
      void this.#send(together).finally(() => {
        this.#underWay.delete(mark)
        this.#next()
      })
    }
  }

  /** Of several that are refused nothing is in the queue: each then gets its own answer. */
  async #send(jobs: readonly Waiting[]): Promise<void> {
    const { condor, isSpooled } = this.#options
    const text = jobs.length === 1 ? textOf(jobs[0]!.job) : tableOf(jobs.map(({ job }) => job))
    try {
      const locks = jobs.map(({ lock }) => lock)
      const jobIds = await condor.submit(text, locks, isSpooled)
      for (const [index, { lock, taken }] of jobs.entries()) {
        this.#alone.delete(lock)
        taken(jobIds[index]!)
      }
    } catch (error) {
      const isRefused = error instanceof PluginError && error.retry === 'no'
      if (jobs.length > 1 && isRefused) for (const each of jobs) await this.#send([each])
      else
        for (const { lock, failed } of jobs) {
          if (isRefused) this.#alone.delete(lock)
          else if (jobs.length > 1) this.#alone.add(lock)
          failed(error)
        }
    }
  }
}
