import type { BackendContext, SubmittedJob } from '../kit/backend.ts'
import { ofJobs, type Whose } from './commands.ts'
import type { CondorClient } from './condor-client.ts'
import { jobStatus, type CondorJob } from './states.ts'
import type { TransferSite } from './transfer-site.ts'

export interface BroughtFilesOptions {
  readonly site: TransferSite
  readonly condor: CondorClient
  whose(): Promise<Whose>
  /** What a job has left waits with its queue. */
  readonly isSpooled: boolean
  readonly log: BackendContext['log']
}

/** What jobs write, where HTCondor carries the files: followed while they run, and had at their end. */
export class BroughtFiles {
  readonly #options: BroughtFilesOptions
  /** Jobs of which everything was had. */
  readonly #had = new Set<string>()

  constructor(options: BroughtFilesOptions) {
    this.#options = options
  }

  /** `job` as HTCondor has it now. */
  async look(submitted: SubmittedJob, job: CondorJob | undefined): Promise<void> {
    const { site, condor, whose, isSpooled, log } = this.#options
    const { uid, dir, jobId } = submitted
    if (job?.status === jobStatus.running && !job.isTransferring) return site.follow(submitted)
    if (job && !job.hasLeft) return site.leave(dir)
    if (!job || this.#had.has(jobId)) return
    this.#had.add(jobId)
    try {
      if (isSpooled) await condor.retrieve(ofJobs(await whose(), [jobId]))
      await site.collect(dir)
    } catch (err) {
      this.#had.delete(jobId)
      log.warn({ uid, jobId, err }, 'what a job has left did not come back')
    }
  }

  forget(jobId: string): void {
    this.#had.delete(jobId)
  }
}
