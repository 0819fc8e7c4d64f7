/** One look at one pod: what is, what should be, and the next step between them. */
import { isTerminal } from '../model/phase.ts'
import { allowDaemonSetAnnotation, lostAfter, type PodContext } from './context.ts'
import { adopt, resolveUnclear, submit } from './creation.ts'
import { addEphemeralContainers } from './ephemeral.ts'
import { finishDeletion, removeRemote } from './deletion.ts'
import { allEnded, isMirror, ownedByDaemonSet, type PodRecord } from './record.ts'

type Again = { readonly afterMs: number } | undefined

/** Backends that keep the deadline themselves are given the time to. */
const deadlineSlackMs = 10_000

export async function reconcile(
  context: PodContext,
  record: PodRecord,
  finalStatus: () => Promise<void>
): Promise<Again> {
  const { pod } = record
  if (isMirror(pod)) return undefined
  // Whether there is a job can be known only after the backend has been heard.
  if (!context.feed.started && record.job !== 'absent') return undefined
  if (record.vanished) {
    await removeRemote(context, record)
    return undefined
  }
  if (pod.metadata.deletionTimestamp) return finishDeletion(context, record, finalStatus)
  if (isTerminal(pod.status?.phase) || record.verdict) return endedEarly(context, record)
  if (!context.feed.started || record.job === 'unknown') return undefined
  const deadline = pastDeadline(context, record)
  if (deadline === 'past') return endedEarly(context, record)
  if (record.job === 'unclear' && !context.feed.capabilities.has('create.idempotent')) {
    return resolveUnclear(context, record)
  }
  if (record.job !== 'submitted') {
    if (refusedDaemonSet(context, record)) return undefined
    await submit(context, record)
    if (record.job === 'unclear') return sooner({ afterMs: Math.min(lostAfter(context), 1000) }, deadline)
  } else if (record.missingSince !== undefined) return sooner(await lookForLost(context, record), deadline)
  if (isSubmitted(record)) await addEphemeralContainers(context, record)
  return deadline
}

/** The node has the last word on this pod: what may still run of it is stopped. */
async function endedEarly(context: PodContext, record: PodRecord): Promise<Again> {
  if (!record.verdict || record.stopped || record.job === 'absent') return undefined
  await removeRemote(context, record)
  return undefined
}

/** Counted from the start that the API has, as a kubelet does, the time in a queue included. */
function pastDeadline(context: PodContext, record: PodRecord): 'past' | Again {
  const { activeDeadlineSeconds } = record.pod.spec
  if (activeDeadlineSeconds === undefined) return undefined
  const start = Date.parse(record.pod.status?.startTime ?? record.seenAt)
  const left = start + activeDeadlineSeconds * 1000 - context.clock.now()
  const slack = record.job === 'submitted' ? deadlineSlackMs : 0
  if (left + slack > 0 || allEnded(record.remote)) return { afterMs: Math.max(left + slack, 1000) }
  record.verdict = {
    reason: 'DeadlineExceeded',
    message: 'Pod was active on the node longer than the specified deadline'
  }
  context.teller.tell(record.pod, 'Warning', 'DeadlineExceeded', record.verdict.message)
  context.changed(record)
  return 'past'
}

/** A job that its backend no longer names is asked for once more, and is lost then; it is never run again. */
async function lookForLost(context: PodContext, record: PodRecord): Promise<Again> {
  const since = record.missingSince ?? 0
  const left = since + lostAfter(context) - context.clock.now()
  if (left > 0) return { afterMs: left }
  const status = (await context.feed.ask([record.pod])).get(record.uid)
  if (status) {
    record.missingSince = undefined
    record.remote = status
    adopt(context, record, status.JID)
    context.changed(record)
    return undefined
  }
  if (record.missingSince === undefined || record.verdict) return undefined
  const job = record.jobId ? `job ${record.jobId}` : 'the job'
  const message = `the backend no longer knows ${job} of this pod: its end was not seen, and it is not run again`
  record.verdict = { reason: 'NodeLost', message, containerReason: 'ContainerStatusUnknown' }
  context.teller.tell(record.pod, 'Warning', 'NodeLost', message)
  context.changed(record)
  return { afterMs: 0 }
}

/**
 * Left pending: the DaemonSet's controller would replace a failed pod for ever. Deleting the pod, or allowing it,
 * ends the refusal.
 */
function refusedDaemonSet(context: PodContext, record: PodRecord) {
  const { pod } = record
  const allowed =
    context.config.daemonSets === 'run' || pod.metadata.annotations?.[allowDaemonSetAnnotation] === 'true'
  if (!ownedByDaemonSet(pod) || allowed) return false
  if (record.waiting?.reason === 'DaemonSetRefused') return true
  const message =
    'pods of DaemonSets do not run on virtual nodes: keep them off with a nodeSelector, ' +
    `or set the annotation ${allowDaemonSetAnnotation}: "true" on the pod template`
  record.waiting = { reason: 'DaemonSetRefused', message }
  context.teller.tell(pod, 'Warning', 'DaemonSetRefused', message)
  context.changed(record)
  return true
}

/** Asked after a call that may have changed it. */
const isSubmitted = (record: PodRecord): boolean => record.job === 'submitted'

const sooner = (a: Again, b: Again): Again => (!a || (b && b.afterMs < a.afterMs) ? b : a)
