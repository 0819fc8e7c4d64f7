/** Brings the API's status of a pod to what it should be: one patch for all that has changed since the last. */
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { isConflict, isNotFound } from '../kube/errors.ts'
import { isTerminal } from '../model/phase.ts'
import { computePodStatus } from '../model/pod-status.ts'
import { statusPatch } from '../model/status-patch.ts'
import { formatSeconds } from '../model/times.ts'
import { restarts, type PodContext } from './context.ts'
import { jobIdAnnotation, podPath, type PodRecord } from './record.ts'

/** Resolves with true when something was written. */
export async function writeStatus(context: PodContext, record: PodRecord): Promise<boolean> {
  const { pod } = record
  if (record.vanished || isTerminal(pod.status?.phase) || unheard(record)) return false
  const wanted = computePodStatus({
    pod,
    remote: record.remote,
    ...(record.verdict && { verdict: record.verdict }),
    ...(record.waiting && { waiting: record.waiting }),
    notAdded: record.notAdded,
    stopped: record.stopped && pod.metadata.deletionTimestamp !== undefined,
    restarts: restarts(context.feed),
    hostIP: context.nodeIP(),
    podIP: context.nodeIP(),
    startTime: record.seenAt,
    now: formatSeconds(context.clock.now())
  })
  const status = statusPatch(pod.status, wanted)
  const annotations =
    record.jobId !== undefined && pod.metadata.annotations?.[jobIdAnnotation] !== record.jobId
      ? { [jobIdAnnotation]: record.jobId }
      : undefined
  if (!status && !annotations) return false
  const body = {
    // A pod that was made anew under the same name has another uid: the server refuses then.
    metadata: { uid: record.uid, ...(annotations && { annotations }) },
    ...(status && { status })
  }
  try {
    const written = await context.kube.patch<Pod>(`${podPath(pod)}/status`, body, 'strategic')
    delete (written.metadata as { managedFields?: unknown }).managedFields
    if (newer(written, record.pod)) record.pod = written
  } catch (error) {
    if (isNotFound(error) || isConflict(error)) return false
    throw error
  }
  context.teller.changed(pod, pod.status, wanted)
  return true
}

/** What the API has of a pod from before this process is right until the backend has said something else. */
const unheard = (record: PodRecord) =>
  record.inherited &&
  record.remote === undefined &&
  record.verdict === undefined &&
  !record.stopped &&
  (record.job === 'unknown' || record.job === 'submitted')

/** Not older than what is known: watch events and answers to patches overtake each other. */
export function newer(pod: Pod, known: Pod): boolean {
  const [a, b] = [Number(pod.metadata.resourceVersion), Number(known.metadata.resourceVersion)]
  return Number.isNaN(a) || Number.isNaN(b) || a >= b
}
