/** A small Job controller: completions, parallelism, Indexed, back-off limits, deadline, TTL. Source: batch/v1 API reference. */
import { randomBytes } from 'node:crypto'
import { at, now, ownedBy, type Json, type KubeObject } from '../object.ts'
import { known } from '../resources.ts'
import type { Controller, ControlContext } from './controller.ts'
import { controllerOf } from './workloads.ts'
import { tell } from './events.ts'

const pods = known('v1', 'Pod')
const jobs = known('batch/v1', 'Job')
const indexKey = 'batch.kubernetes.io/job-completion-index'
const phase = (pod: KubeObject) => String(at(pod, 'status', 'phase'))
const indexOf = (pod: KubeObject) => Number(pod.metadata.annotations?.[indexKey])

export const jobController: Controller = {
  resource: jobs,
  owns: [pods],
  reconcile(job, context) {
    if (job.metadata.deletionTimestamp) return
    const { cluster } = context
    const spec = at<Json>(job, 'spec')!
    const status = at<Json>(job, 'status') ?? {}
    const ended = at<Json[]>(status, 'conditions')?.find(
      (one) => ['Complete', 'Failed'].includes(String(one.type)) && one.status === 'True'
    )
    if (ended) return expire(job, ended, context)
    const own = cluster.store
      .list(pods, job.metadata.namespace)
      .filter((pod) => ownedBy(pod, job.metadata.uid))
    const round = tally(spec, own)
    const startTime = at<string>(status, 'startTime') ?? (spec.suspend ? undefined : now())
    const verdict = judge(spec, round, startTime)

    if (verdict || spec.suspend) for (const pod of round.active) cluster.delete(pods, pod)
    else for (const index of missing(spec, round)) makePod(job, index, context)

    const active =
      verdict || spec.suspend
        ? 0
        : Math.max(
            round.active.length,
            cluster.store
              .list(pods, job.metadata.namespace)
              .filter((pod) => ownedBy(pod, job.metadata.uid) && isActive(pod)).length
          )
    const conditions = verdict
      ? [
          {
            type: verdict.type === 'Complete' ? 'SuccessCriteriaMet' : 'FailureTarget',
            status: 'True',
            reason: verdict.reason,
            message: verdict.message,
            lastTransitionTime: now(),
            lastProbeTime: now()
          },
          { ...verdict, status: 'True', lastTransitionTime: now(), lastProbeTime: now() }
        ]
      : spec.suspend
        ? [
            {
              type: 'Suspended',
              status: 'True',
              reason: 'JobSuspended',
              message: 'Job suspended',
              lastTransitionTime: now()
            }
          ]
        : []
    cluster.change(jobs, job.metadata.namespace, job.metadata.name, (found) => ({
      ...found,
      status: {
        ...(startTime ? { startTime } : {}),
        active,
        ready: round.active.filter((pod) => phase(pod) === 'Running').length,
        succeeded: round.succeeded,
        failed: round.failed,
        terminating: round.ending,
        uncountedTerminatedPods: {},
        ...(round.completed.length > 0 ? { completedIndexes: ranges(round.completed) } : {}),
        ...(round.failedIndexes.length > 0 ? { failedIndexes: ranges(round.failedIndexes) } : {}),
        ...(conditions.length > 0 ? { conditions } : {}),
        ...(verdict?.type === 'Complete' ? { completionTime: now() } : {})
      }
    }))
    if (verdict)
      tell(
        cluster,
        job,
        'job-controller',
        verdict.type === 'Complete' ? 'Normal' : 'Warning',
        verdict.type === 'Complete' ? 'Completed' : verdict.reason,
        verdict.message
      )
    const deadline = Number(spec.activeDeadlineSeconds ?? 0)
    return deadline > 0 && startTime
      ? Math.max(10, Date.parse(startTime) + deadline * 1000 - Date.now())
      : undefined
  }
}

interface Round {
  readonly active: readonly KubeObject[]
  readonly ending: number
  readonly succeeded: number
  readonly failed: number
  readonly completed: readonly number[]
  readonly failedIndexes: readonly number[]
  /** Indexes that have an active pod, or are done. */
  readonly taken: ReadonlySet<number>
}

const isActive = (pod: KubeObject) =>
  !pod.metadata.deletionTimestamp && !['Succeeded', 'Failed'].includes(phase(pod))

function tally(spec: Json, own: readonly KubeObject[]): Round {
  const active = own.filter(isActive)
  const failures = own.filter((pod) => phase(pod) === 'Failed')
  const successes = own.filter((pod) => phase(pod) === 'Succeeded')
  const indexed = spec.completionMode === 'Indexed'
  const completed = indexed ? [...new Set(successes.map(indexOf))].sort((a, b) => a - b) : []
  const perIndex = spec.backoffLimitPerIndex as number | undefined
  const failedIndexes =
    indexed && perIndex !== undefined
      ? [...new Set(failures.map(indexOf))]
          .filter(
            (index) =>
              !completed.includes(index) && failures.filter((pod) => indexOf(pod) === index).length > perIndex
          )
          .sort((a, b) => a - b)
      : []
  return {
    active,
    ending: own.filter((pod) => pod.metadata.deletionTimestamp).length,
    succeeded: indexed ? completed.length : successes.length,
    failed: failures.length,
    completed,
    failedIndexes,
    taken: new Set([...completed, ...failedIndexes, ...active.map(indexOf)])
  }
}

interface Verdict {
  readonly type: 'Complete' | 'Failed'
  readonly reason: string
  readonly message: string
}

function judge(spec: Json, round: Round, startTime: string | undefined): Verdict | undefined {
  const deadline = Number(spec.activeDeadlineSeconds ?? 0)
  if (deadline > 0 && startTime && Date.now() >= Date.parse(startTime) + deadline * 1000)
    return {
      type: 'Failed',
      reason: 'DeadlineExceeded',
      message: 'Job was active longer than specified deadline'
    }
  const completions = spec.completions as number | undefined
  if (spec.backoffLimitPerIndex === undefined && round.failed > Number(spec.backoffLimit))
    return {
      type: 'Failed',
      reason: 'BackoffLimitExceeded',
      message: 'Job has reached the specified backoff limit'
    }
  const most = spec.maxFailedIndexes as number | undefined
  if (most !== undefined && round.failedIndexes.length > most)
    return {
      type: 'Failed',
      reason: 'MaxFailedIndexesExceeded',
      message: 'Job has exceeded the specified maximal number of failed indexes'
    }
  const done =
    completions === undefined
      ? round.succeeded > 0 && round.active.length === 0
      : round.succeeded + round.failedIndexes.length >= completions
  if (!done) return undefined
  return round.failedIndexes.length > 0
    ? { type: 'Failed', reason: 'FailedIndexes', message: 'Job has failed indexes' }
    : { type: 'Complete', reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' }
}

/** The indexes (or as many undefined) that a pod is to be made for now. */
function missing(spec: Json, round: Round): (number | undefined)[] {
  const parallelism = Number(spec.parallelism ?? 1)
  const room = Math.max(0, parallelism - round.active.length)
  const completions = spec.completions as number | undefined
  if (spec.completionMode === 'Indexed') {
    const free = Array.from({ length: completions ?? 0 }, (_, index) => index).filter(
      (index) => !round.taken.has(index)
    )
    return free.slice(0, room)
  }
  const left =
    completions === undefined
      ? round.succeeded > 0
        ? 0
        : room
      : completions - round.succeeded - round.active.length
  return Array.from({ length: Math.min(room, Math.max(0, left)) }, () => undefined)
}

function makePod(job: KubeObject, index: number | undefined, { cluster }: ControlContext): void {
  const { namespace, name } = job.metadata
  const template = at<Json>(job, 'spec', 'template')!
  const meta = (template.metadata ?? {}) as { labels?: Json; annotations?: Json }
  const suffix = randomBytes(4).toString('hex').slice(0, 5)
  const spec = template.spec as Json
  const indexText = String(index)
  const pod = cluster.create(pods, namespace, {
    metadata: {
      ...meta,
      name: index === undefined ? `${name}-${suffix}` : `${name}-${index}-${suffix}`,
      labels: { ...meta.labels, ...(index === undefined ? {} : { [indexKey]: indexText }) },
      annotations: { ...meta.annotations, ...(index === undefined ? {} : { [indexKey]: indexText }) },
      ownerReferences: controllerOf(job)
    },
    spec:
      index === undefined
        ? spec
        : {
            ...spec,
            hostname: `${name}-${index}`,
            containers: (spec.containers as Json[]).map((one) => ({
              ...one,
              env: [
                {
                  name: 'JOB_COMPLETION_INDEX',
                  valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: `metadata.labels['${indexKey}']` } }
                },
                ...((one.env as Json[] | undefined) ?? [])
              ]
            }))
          }
  })
  tell(cluster, job, 'job-controller', 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`)
}

/** Removes a finished job when its time to live is over. */
function expire(job: KubeObject, ended: Json, { cluster }: ControlContext): number | undefined {
  const ttl = at<number>(job, 'spec', 'ttlSecondsAfterFinished')
  if (ttl === undefined) return undefined
  const left = Date.parse(String(ended.lastTransitionTime)) + ttl * 1000 - Date.now()
  if (left > 0) return left
  cluster.delete(jobs, job, { propagationPolicy: 'Background' })
  return undefined
}

/** [0,1,2,5] as "0-2,5". */
export function ranges(sorted: readonly number[]): string {
  const parts: [number, number][] = []
  for (const index of sorted) {
    const last = parts.at(-1)
    if (last && index === last[1] + 1) last[1] = index
    else parts.push([index, index])
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',')
}
