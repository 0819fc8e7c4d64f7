/**
 * What the supervisor's state files say, parsed. See docs/reference/job-directory.md.
 * All times are epoch milliseconds.
 */
export interface JobState {
  readonly supervisor?: { readonly pid: number; readonly startedAt: number; readonly beatAt: number }
  /** Present once every container has ended and nothing will be restarted. */
  readonly finished?: { readonly at: number; readonly reason?: string; readonly message?: string }
  readonly containers: ReadonlyMap<string, ContainerRecord>
}

export interface ContainerRecord {
  readonly state: 'waiting' | 'running' | 'terminated'
  readonly reason?: string
  readonly message?: string
  readonly restarts: number
  readonly startedAt?: number
  readonly finishedAt?: number
  readonly exitCode?: number
  readonly signal?: number
  readonly ready: boolean
  /** The startup probe has passed, or there is none. */
  readonly up: boolean
  readonly last?: {
    readonly exitCode: number
    readonly signal?: number
    readonly reason?: string
    readonly startedAt?: number
    readonly finishedAt?: number
  }
}
