import type { Backend, BackendContext } from '../backend.ts'
import type { SitePolicy } from '../plan/policy.ts'
import type { OrphanPolicy } from './orphans.ts'

export interface JobKeeperOptions {
  readonly backend: Backend
  /** Absolute, 0700. */
  readonly root: string
  readonly policy: SitePolicy
  readonly log: BackendContext['log']
  /** How long the directory of a deleted job, and so its log, is kept after the job has stopped. */
  readonly deletedSeconds: number
  /** How long a deleted UID is remembered, so that a late create of it starts nothing. */
  readonly tombstoneSeconds: number
  /** How long a job may be unknown to the backend, and silent, before it is taken as lost. */
  readonly lostSeconds: number
  /** Between two questions to the backend: while something changes, and while nothing does. */
  readonly listSeconds: number
  readonly idleListSeconds: number
  readonly orphans: OrphanPolicy
  /** Epoch ms. @default Date.now */
  readonly now?: () => number
}
