/** The Job controller. A failed pod is followed by the next at once: nobody waits for a back-off in a trial. */
import { at, nameSuffix, now, ownedBy, withoutFinalizer, type Json, type KubeObject } from '../../object.ts'
import { known } from '../../resources.ts'
import type { Controller, ControlContext } from '../controller.ts'
import { tell } from '../events.ts'
import { controllerOf } from '../workloads.ts'
import {
  deadlineOf,
  failureCountKey,
  indexKey,
  judge,
  missing,
  phaseOf,
  ranges,
  tally,
  trackingFinalizer,
  type Tally,
  type Verdict
} from './tally.ts'

const pods = known('v1', 'Pod')
const jobs = known('batch/v1', 'Job')

export const jobController: Controller = {
  resource: jobs,
  owns: [pods],
  reconcile(job, context) {
    const { cluster } = context
    const { namespace, name, uid } = job.metadata
    const spec = at<Json>(job, 'spec')!
    const own = cluster.store.list(pods, namespace).filter((pod) => ownedBy(pod, uid))
    const ended = conditionOf(job, 'Complete') ?? conditionOf(job, 'Failed')
    if (ended || job.metadata.deletionTimestamp) {
      for (const pod of own) release(pod, context)
      return ended ? expire(job, ended, context) : undefined
    }
    const round = tally(job, own)
    const startTime = spec.suspend ? undefined : (at<string>(job, 'status', 'startTime') ?? now())
    const verdict = verdictOf(job) ?? judge(spec, round, startTime, Date.now())
    const stopping = verdict !== undefined || spec.suspend === true
    cluster.change(jobs, namespace, name, (found) => ({
      ...found,
      status: statusOf(found, round, startTime, verdict, stopping)
    }))
    for (const pod of round.counted) release(pod, context)
    if (stopping) for (const pod of round.active) cluster.delete(pods, pod)
    else for (const index of missing(spec, round)) makePod(job, index, round, context)
    const done = verdict && round.unfinished === 0
    if (done)
      tell(
        cluster,
        job,
        'job-controller',
        verdict.type === 'Complete' ? 'Normal' : 'Warning',
        verdict.type === 'Complete' ? 'Completed' : verdict.reason,
        verdict.type === 'Complete' ? 'Job completed' : verdict.message
      )
    const deadlineMs = done ? undefined : deadlineOf(spec, startTime)
    return deadlineMs === undefined ? undefined : Math.max(10, deadlineMs - Date.now())
  }
}

const conditionOf = (job: KubeObject, type: string): Json | undefined =>
  at<Json[]>(job, 'status', 'conditions')?.find((one) => one.type === type && one.status === 'True')

/** A verdict stands once it is said, while the last pods are ending. */
function verdictOf(job: KubeObject): Verdict | undefined {
  const said = conditionOf(job, 'SuccessCriteriaMet') ?? conditionOf(job, 'FailureTarget')
  return said
    ? {
        type: said.type === 'SuccessCriteriaMet' ? 'Complete' : 'Failed',
        reason: String(said.reason),
        message: String(said.message)
      }
    : undefined
}

function statusOf(
  job: KubeObject,
  round: Tally,
  startTime: string | undefined,
  verdict: Verdict | undefined,
  stopping: boolean
): Json {
  const conditions = [...(at<Json[]>(job, 'status', 'conditions') ?? [])]
  const done = verdict && round.unfinished === 0
  const add = (type: string, status: string, reason: string, message: string) => {
    const index = conditions.findIndex((one) => one.type === type)
    const condition = { type, status, reason, message, lastProbeTime: now(), lastTransitionTime: now() }
    if (index < 0) conditions.push(condition)
    else if (conditions[index]!.status !== status) conditions[index] = condition
  }
  if (at(job, 'spec', 'suspend')) add('Suspended', 'True', 'JobSuspended', 'Job suspended')
  else if (conditions.some((one) => one.type === 'Suspended'))
    add('Suspended', 'False', 'JobResumed', 'Job resumed')
  if (verdict) {
    const early = verdict.type === 'Complete' ? 'SuccessCriteriaMet' : 'FailureTarget'
    add(early, 'True', verdict.reason, verdict.message)
    if (done) add(verdict.type, 'True', verdict.reason, verdict.message)
  }
  const active = stopping ? 0 : round.active.length
  return {
    ...(startTime ? { startTime } : {}),
    ...(active > 0 ? { active } : {}),
    ready: round.active.filter((pod) => isReady(pod)).length,
    ...(round.succeeded > 0 ? { succeeded: round.succeeded } : {}),
    ...(round.failed > 0 ? { failed: round.failed } : {}),
    terminating: round.terminating,
    uncountedTerminatedPods: {},
    ...(round.completed.size > 0 ? { completedIndexes: ranges(round.completed) } : {}),
    ...(at(job, 'spec', 'backoffLimitPerIndex') !== undefined || round.failedIndexes.size > 0
      ? { failedIndexes: ranges(round.failedIndexes) }
      : {}),
    ...(conditions.length > 0 ? { conditions } : {}),
    ...(done && verdict.type === 'Complete' ? { completionTime: now() } : {})
  }
}

const isReady = (pod: KubeObject) =>
  phaseOf(pod) === 'Running' &&
  (at<Json[]>(pod, 'status', 'conditions')?.some((one) => one.type === 'Ready' && one.status === 'True') ??
    false)

/** A pod that has been counted may go. */
function release(pod: KubeObject, { cluster }: ControlContext): void {
  if (!pod.metadata.finalizers?.includes(trackingFinalizer)) return
  cluster.change(pods, pod.metadata.namespace, pod.metadata.name, (found) =>
    withoutFinalizer(found, trackingFinalizer)
  )
}

function makePod(
  job: KubeObject,
  index: number | undefined,
  round: Tally,
  { cluster }: ControlContext
): void {
  const { namespace, name } = job.metadata
  const template = at<Json>(job, 'spec', 'template')!
  const meta = (template.metadata ?? {}) as { labels?: Json; annotations?: Json; finalizers?: string[] }
  const marks = index === undefined ? {} : { [indexKey]: String(index) }
  const perIndex = at(job, 'spec', 'backoffLimitPerIndex') !== undefined && index !== undefined
  const pod = cluster.create(pods, namespace, {
    metadata: {
      ...meta,
      name: `${index === undefined ? name : `${name}-${index}`}-${nameSuffix()}`,
      labels: { ...meta.labels, ...marks },
      annotations: {
        ...meta.annotations,
        ...marks,
        ...(perIndex ? { [failureCountKey]: String(round.failures.get(index) ?? 0) } : {})
      },
      finalizers: [...(meta.finalizers ?? []), trackingFinalizer],
      ownerReferences: controllerOf(job)
    },
    spec: index === undefined ? template.spec : withIndex(template.spec as Json, `${name}-${index}`)
  })
  tell(cluster, job, 'job-controller', 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`)
}

const indexVariable = {
  name: 'JOB_COMPLETION_INDEX',
  valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: `metadata.labels['${indexKey}']` } }
}

function withIndex(spec: Json, hostname: string): Json {
  const told = (list: string) =>
    Array.isArray(spec[list])
      ? {
          [list]: (spec[list] as Json[]).map((one) => {
            const env = (one.env as Json[] | undefined) ?? []
            return env.some((variable) => variable.name === indexVariable.name)
              ? one
              : { ...one, env: [...env, indexVariable] }
          })
        }
      : {}
  return { ...spec, hostname, ...told('initContainers'), ...told('containers') }
}

/** Removes a finished job when its time to live is over. */
function expire(job: KubeObject, ended: Json, { cluster }: ControlContext): number | undefined {
  const ttl = at<number>(job, 'spec', 'ttlSecondsAfterFinished')
  if (ttl === undefined || job.metadata.deletionTimestamp) return undefined
  const left = Date.parse(String(ended.lastTransitionTime)) + ttl * 1000 - Date.now()
  if (left > 0) return left
  cluster.delete(jobs, job, { propagationPolicy: 'Background' })
  return undefined
}
