/** What the pods of a job say, counted once each. Pure. Source: batch/v1 API reference, KEP-2307, KEP-3850. */
import { at, type Json, type KubeObject } from '../../object.ts'
import { failureAction } from './failure-policy.ts'

export const trackingFinalizer = 'batch.kubernetes.io/job-tracking'
export const indexKey = 'batch.kubernetes.io/job-completion-index'
export const failureCountKey = 'batch.kubernetes.io/job-index-failure-count'

export const phaseOf = (pod: KubeObject): string => String(at(pod, 'status', 'phase'))
export const indexOf = (pod: KubeObject): number => Number(pod.metadata.annotations?.[indexKey])
const terminal = (pod: KubeObject) => ['Succeeded', 'Failed'].includes(phaseOf(pod))

export interface Tally {
  readonly succeeded: number
  readonly failed: number
  readonly completed: ReadonlySet<number>
  readonly failedIndexes: ReadonlySet<number>
  /** How often the next pod of an index comes after a failure. */
  readonly failures: ReadonlyMap<number, number>
  readonly active: readonly KubeObject[]
  /** Marked for deletion, and still there. */
  readonly terminating: number
  /** Neither ended nor gone. */
  readonly unfinished: number
  /** Counted now for the first time: their finalizer can go. */
  readonly counted: readonly KubeObject[]
  /** Why a rule of the failure policy fails the whole job. */
  readonly fatal: string | undefined
}

/** Adds the pods that have ended since the status was written to what it says. */
export function tally(job: KubeObject, own: readonly KubeObject[]): Tally {
  const spec = at<Json>(job, 'spec')!
  const status = at<Json>(job, 'status') ?? {}
  const indexed = spec.completionMode === 'Indexed'
  const completed = new Set(indexed ? numbers(status.completedIndexes) : [])
  const failedIndexes = new Set(indexed ? numbers(status.failedIndexes) : [])
  const failures = new Map<number, number>()
  const counted: KubeObject[] = []
  let succeeded = Number(status.succeeded ?? 0)
  let failed = Number(status.failed ?? 0)
  let fatal: string | undefined
  // with a failure policy only a pod that has ended tells how
  const isFailed = (pod: KubeObject) =>
    phaseOf(pod) === 'Failed' ||
    (pod.metadata.deletionTimestamp !== undefined && phaseOf(pod) !== 'Succeeded' && !spec.podFailurePolicy)
  for (const pod of own) {
    const index = indexOf(pod)
    const before = Number(pod.metadata.annotations?.[failureCountKey] ?? 0)
    const ended = phaseOf(pod) === 'Succeeded' || isFailed(pod)
    if (!ended) continue
    const fresh = pod.metadata.finalizers?.includes(trackingFinalizer) ?? false
    if (fresh) counted.push(pod)
    if (phaseOf(pod) === 'Succeeded') {
      if (fresh && !(indexed && completed.has(index))) succeeded++
      if (indexed) completed.add(index)
      continue
    }
    const { action, message } = failureAction(spec.podFailurePolicy as Json | undefined, pod)
    if (action === 'FailJob' && fresh) fatal ??= message
    if (action !== 'Ignore') {
      if (fresh) failed++
      failures.set(index, Math.max(failures.get(index) ?? 0, before + 1))
    } else failures.set(index, Math.max(failures.get(index) ?? 0, before))
    const limit = spec.backoffLimitPerIndex
    if (
      indexed &&
      fresh &&
      (action === 'FailIndex' || (limit !== undefined && action !== 'Ignore' && before + 1 > Number(limit)))
    )
      failedIndexes.add(index)
  }
  for (const index of completed) failedIndexes.delete(index)
  return {
    succeeded: indexed ? completed.size : succeeded,
    failed,
    completed,
    failedIndexes,
    failures,
    active: own.filter((pod) => !terminal(pod) && !pod.metadata.deletionTimestamp),
    terminating: own.filter((pod) => pod.metadata.deletionTimestamp && !terminal(pod)).length,
    unfinished: own.filter((pod) => !terminal(pod)).length,
    counted,
    fatal
  }
}

export interface Verdict {
  readonly type: 'Complete' | 'Failed'
  readonly reason: string
  readonly message: string
}

const failedFor = (reason: string, message: string): Verdict => ({ type: 'Failed', reason, message })

/** Whether a job has ended, and how. `nowMs` and `startTime` decide about its deadline. */
export function judge(
  spec: Json,
  round: Tally,
  startTime: string | undefined,
  nowMs: number
): Verdict | undefined {
  if (round.fatal) return failedFor('PodFailurePolicy', round.fatal)
  const deadlineMs = deadlineOf(spec, startTime)
  if (deadlineMs !== undefined && nowMs >= deadlineMs)
    return failedFor('DeadlineExceeded', 'Job was active longer than specified deadline')
  if (round.failed > Number(spec.backoffLimit ?? 6))
    return failedFor('BackoffLimitExceeded', 'Job has reached the specified backoff limit')
  const most = spec.maxFailedIndexes as number | undefined
  if (most !== undefined && round.failedIndexes.size > most)
    return failedFor(
      'MaxFailedIndexesExceeded',
      'Job has exceeded the specified maximal number of failed indexes'
    )
  const completions = spec.completions as number | undefined
  const done =
    completions === undefined
      ? round.succeeded > 0 && round.active.length === 0
      : round.succeeded + round.failedIndexes.size >= completions
  if (!done) return undefined
  return round.failedIndexes.size > 0
    ? failedFor('FailedIndexes', 'Job has failed indexes')
    : { type: 'Complete', reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' }
}

/**
 * When a job has been active for longer than it may, in milliseconds since 1970. `startTime` has lost its fraction of
 * a second: counted from the end of that second, no job is ever ended early.
 */
export function deadlineOf(spec: Json, startTime: string | undefined): number | undefined {
  const seconds = Number(spec.activeDeadlineSeconds ?? 0)
  return seconds > 0 && startTime ? Date.parse(startTime) + (seconds + 1) * 1000 : undefined
}

/** The indexes that a pod is to be made for now; as many undefined where the job has none. */
export function missing(spec: Json, round: Tally): (number | undefined)[] {
  const standing = round.active.length + (spec.podReplacementPolicy === 'Failed' ? round.terminating : 0)
  const room = Math.max(0, Number(spec.parallelism ?? 1) - standing)
  const completions = spec.completions as number | undefined
  if (spec.completionMode === 'Indexed') {
    const taken = new Set(round.active.map(indexOf))
    return Array.from({ length: completions ?? 0 }, (_, index) => index)
      .filter((index) => !taken.has(index) && !round.completed.has(index) && !round.failedIndexes.has(index))
      .slice(0, room)
  }
  const left =
    completions === undefined
      ? round.succeeded > 0
        ? 0
        : room
      : completions - round.succeeded - round.active.length
  return Array.from({ length: Math.min(room, Math.max(0, left)) }, () => undefined)
}

/** "0-2,5" as [0,1,2,5]. */
export function numbers(text: unknown): number[] {
  if (typeof text !== 'string' || text === '') return []
  return text.split(',').flatMap((part) => {
    const [from, to = from] = part.split('-').map(Number) as [number, number?]
    return Array.from({ length: to - from + 1 }, (_, offset) => from + offset)
  })
}

/** [0,1,2,5] as "0-2,5"; two neighbours are joined by a comma, as the real controller writes them. */
export function ranges(indexes: Iterable<number>): string {
  const parts: [number, number][] = []
  for (const index of [...indexes].sort((a, b) => a - b)) {
    const last = parts.at(-1)
    if (last && index === last[1] + 1) last[1] = index
    else parts.push([index, index])
  }
  return parts
    .map(([from, to]) => (from === to ? `${from}` : `${from}${to === from + 1 ? ',' : '-'}${to}`))
    .join(',')
}
