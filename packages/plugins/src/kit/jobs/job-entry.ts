import type { BackendState, Job, SubmittedJob } from '../backend.ts'
import type { Notice, Plan } from '../plan/plan.ts'
import type { Deletion, End } from './job-directory.ts'
import { TOLD_TO_END, type JobState } from './job-state.ts'
import {
  containerNotices,
  hasEnded,
  outlineOf,
  podStatus,
  type JobFacts,
  type Outline
} from './pod-status.ts'

/** A job as the keeper knows it. */
export interface JobEntry {
  readonly uid: string
  readonly dir: string
  /** Of the plan, which containers may be added to. */
  outline: Outline
  readonly createdAt: number
  /** Of the hand-over to the backend. */
  attempt: number
  /** Absent until the backend has taken the job. */
  jobId?: string
  deletion?: Deletion
  state?: JobState
  backend?: BackendState
  /** Why it has ended, as its backend said first; kept on disk, for backends forget. */
  end?: End
  /** Since when the backend says that it has no such job. */
  goneSince?: number
  lostAt?: number
  /** The supervisor's last beat by its own clock, and when it was first seen by this one: clocks need not agree. */
  beat?: { readonly at: number; readonly seenAt: number }
  /** The start of the run after which the backend has put the job back into its queue. */
  requeuedRun?: number
  /** Since when the job is known to have ended by a word from outside, of which the backend has yet to say why. */
  unexplainedSince?: number
  told?: readonly Notice[]
  /** Containers are added to it one after the other. */
  adding?: Promise<void>
  /** When a deleted job had stopped and was reported for the last time; its log is still there. */
  retiredAt?: number
  /** Called when it has stopped. */
  waiters: readonly (() => void)[]
}

export const newEntry = (plan: Plan, dir: string, createdAt: number, attempt = 0): JobEntry => ({
  uid: plan.pod.uid,
  dir,
  outline: outlineOf(plan),
  createdAt,
  attempt,
  waiters: []
})

const maxTold = 20

/** Takes over what the files say; what they said of containers before is kept, once each. */
export function takeState(entry: JobEntry, state: JobState, now: number): void {
  const { supervisor, finished } = state
  if (supervisor && supervisor.beatAt !== entry.beat?.at)
    entry.beat = { at: supervisor.beatAt, seenAt: entry.beat ? now : Math.min(now, supervisor.beatAt) }
  if (supervisor?.startedAt !== entry.requeuedRun) delete entry.requeuedRun
  if (finished) delete entry.lostAt
  if (finished?.reason === TOLD_TO_END && !entry.state?.finished && !entry.deletion)
    entry.unexplainedSince = now
  entry.state = state
  const notices = containerNotices(state)
  if (notices.length === 0) return
  const said = new Map((entry.told ?? []).map((notice) => [`${notice.reason} ${notice.message}`, notice]))
  for (const notice of notices) said.set(`${notice.reason} ${notice.message}`, notice)
  entry.told = [...said.values()].slice(-maxTold)
}

export const submittedJob = ({ uid, dir, jobId, state }: JobEntry): SubmittedJob => ({
  uid,
  dir,
  jobId: jobId ?? '',
  begun: state?.supervisor !== undefined
})

/** Everything has ended and it is known why, or nothing is left that could go on. */
export const hasStopped = (entry: JobEntry): boolean =>
  entry.lostAt !== undefined ||
  (entry.state?.finished !== undefined &&
    entry.unexplainedSince === undefined &&
    entry.requeuedRun === undefined)

/** The backend has taken it, and it has not ended. */
export const isUnderWay = (entry: JobEntry): boolean => entry.jobId !== undefined && !hasStopped(entry)

/**
 * It ends, or has ended, by a word from outside, and whether that is the end of the pod is for its backend to say; or its
 * last container has ended, and the supervisor is about to tell by what.
 */
export const isUndecided = (entry: JobEntry): boolean =>
  !hasStopped(entry) &&
  !entry.deletion &&
  entry.requeuedRun === undefined &&
  (entry.state?.supervisor?.toldAt !== undefined || hasEnded(entry.outline, entry.state))

export const statusOf = (entry: JobEntry) =>
  podStatus(entry.outline, {
    ...entry,
    requeued: entry.requeuedRun !== undefined
  } satisfies JobFacts)

/** Resolves when the job has stopped, at the latest after `ms`. */
export function stopped(entry: JobEntry, ms: number): Promise<void> {
  if (hasStopped(entry)) return Promise.resolve()
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      entry.waiters = entry.waiters.filter((each) => each !== end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    timer.unref()
    entry.waiters = [...entry.waiters, end]
  })
}

export const jobOf = (entry: JobEntry, plan: Plan): Job => ({
  uid: entry.uid,
  namespace: plan.pod.namespace,
  name: plan.pod.name,
  dir: entry.dir,
  plan
})

export type JobCounts = Record<'submitting' | 'active' | 'stopped' | 'deleted', number>

export function countJobs(entries: Iterable<JobEntry>): JobCounts {
  const counts = { submitting: 0, active: 0, stopped: 0, deleted: 0 }
  for (const entry of entries) counts[standing(entry)]++
  return counts
}

function standing(entry: JobEntry): keyof JobCounts {
  if (entry.deletion) return 'deleted'
  if (hasStopped(entry)) return 'stopped'
  return entry.jobId === undefined ? 'submitting' : 'active'
}
