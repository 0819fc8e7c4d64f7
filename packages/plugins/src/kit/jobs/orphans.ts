import { Type, type Static } from 'typebox'
import type { Backend, BackendContext, HeldJob } from '../backend.ts'

/** What becomes of jobs that this plugin has handed over and knows nothing of any more. */
export const OrphanPolicy = Type.Object(
  {
    policy: Type.Union([Type.Literal('cancel'), Type.Literal('keep')], {
      default: 'cancel',
      description:
        'end jobs of this root that no job directory stands behind, or only tell of them in the log'
    }),
    afterSeconds: Type.Number({
      default: 600,
      minimum: 0,
      description: 'how long such a job must have been seen so'
    })
  },
  { additionalProperties: false, default: {} }
)
export type OrphanPolicy = Static<typeof OrphanPolicy>

/** Finds jobs that the backend holds and nobody would report, and ends them. */
export class Orphans {
  readonly #backend: Backend
  readonly #policy: OrphanPolicy
  readonly #log: BackendContext['log']
  readonly #now: () => number
  /** Job id to when it was first seen so, epoch ms. */
  readonly #since = new Map<string, number>()

  constructor(backend: Backend, policy: OrphanPolicy, log: BackendContext['log'], now: () => number) {
    this.#backend = backend
    this.#policy = policy
    this.#log = log
    this.#now = now
  }

  /** Whether the backend can tell of any. */
  get possible(): boolean {
    return this.#backend.held !== undefined
  }

  /** Looks through the jobs of the last question; resolves with whether there are any that will have to end. */
  async look(isKnown: (uid: string) => boolean): Promise<boolean> {
    const found = (this.#backend.held?.() ?? []).filter(({ uid }) => !isKnown(uid))
    const ids = new Set(found.map(({ jobId }) => jobId))
    for (const jobId of this.#since.keys()) if (!ids.has(jobId)) this.#since.delete(jobId)
    const { policy, afterSeconds } = this.#policy
    for (const job of found) {
      const since = this.#since.get(job.jobId)
      if (since === undefined) {
        this.#since.set(job.jobId, this.#now())
        this.#log.warn({ ...job, policy, afterSeconds }, 'a job of this root has no job directory')
      }
      if (policy === 'cancel' && this.#now() - (since ?? this.#now()) >= afterSeconds * 1000)
        await this.#end(job)
    }
    return policy === 'cancel' && found.length > 0
  }

  async #end(job: HeldJob): Promise<void> {
    this.#log.warn({ ...job }, 'a job without a job directory is ended')
    await this.#backend
      .abandon?.(job)
      .catch((err: unknown) => this.#log.warn({ ...job, err }, 'it could not be ended; tried again'))
  }
}
