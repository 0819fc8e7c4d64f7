import type { BackendContext } from '../kit/backend.ts'
import { ofJobs, type Whose } from './commands.ts'
import type { CondorClient } from './condor-client.ts'
import { holdOutcome, jobStatus, type CondorJob, type HoldPolicy } from './states.ts'

interface Pool {
  readonly condor: Pick<CondorClient, 'remove' | 'release'>
  whose(): Promise<Whose>
  readonly policy: HoldPolicy
  readonly log: BackendContext['log']
}

/** Held jobs: each stays in the queue until somebody releases or removes it. */
export class HeldJobs {
  readonly #pool: Pool

  constructor(pool: Pool) {
    this.#pool = pool
  }

  async settle(uid: string, job: CondorJob): Promise<void> {
    const { condor, policy, log } = this.#pool
    const outcome = holdOutcome(job, policy)
    if (outcome === 'wait') return
    const constraint = `${ofJobs(await this.#pool.whose(), [job.jobId])} && JobStatus == ${jobStatus.held}`
    const done =
      outcome === 'release'
        ? condor.release(constraint)
        : condor.remove(constraint, 'it was held, and its pod has failed')
    await done.catch((err: unknown) =>
      log.warn({ uid, jobId: job.jobId, outcome, err }, 'a held job was left as it is')
    )
  }
}
