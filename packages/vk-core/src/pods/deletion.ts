/** The way out: the API's object goes only when the backend has stopped. */
import { withSpan } from '@interlink-ts/interlink-api/telemetry'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { isConflict, isNotFound } from '../kube/errors.ts'
import { isTerminal } from '../model/phase.ts'
import { strip } from '../model/strip.ts'
import { formatSeconds } from '../model/times.ts'
import type { PodContext } from './context.ts'
import { allEnded, podPath, type PodRecord } from './record.ts'

/** A backend that keeps the wish is reminded this often; the end itself is reported. */
const remindMs = 60_000
const pollMs = 2000
/** After the grace period, plugins that report nothing are believed to have stopped. */
const patienceMs = 10_000

/** `finalStatus` writes what the API should have last; resolves when it has it. */
export async function finishDeletion(
  context: PodContext,
  record: PodRecord,
  finalStatus: (record: PodRecord) => Promise<void>
): Promise<{ afterMs: number } | undefined> {
  const { pod } = record
  const grace = pod.metadata.deletionGracePeriodSeconds ?? 0
  if (!record.stopped) {
    const again = await stopRemote(context, record, grace)
    if (again) return again
  }
  context.objects.release(record)
  if (!isTerminal(record.pod.status?.phase)) await finalStatus(record)
  // With grace 0 the object is only kept by finalizers, which are for others to remove.
  if (grace === 0 && pod.metadata.deletionTimestamp) return undefined
  await context.kube
    .delete(podPath(pod), {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      gracePeriodSeconds: 0,
      preconditions: { uid: record.uid }
    })
    .catch((error) => {
      if (!isNotFound(error) && !isConflict(error)) throw error
    })
  return undefined
}

/** Of a pod that is no longer in the API: whatever runs of it has nobody left to wait for. */
export async function removeRemote(context: PodContext, record: PodRecord): Promise<void> {
  context.objects.release(record)
  if (record.stopped || record.job === 'absent') return
  const deletionTimestamp = record.pod.metadata.deletionTimestamp ?? formatSeconds(context.clock.now())
  await askToStop(context, record, {
    ...record.pod,
    metadata: { ...record.pod.metadata, deletionTimestamp, deletionGracePeriodSeconds: 0 }
  })
  record.stopped = true
}

/** Asks the backend to stop, and says when to look again; nothing when it has stopped. */
async function stopRemote(context: PodContext, record: PodRecord, grace: number) {
  const { feed, clock } = context
  if (record.job === 'absent') {
    record.stopped = true
    return undefined
  }
  if (!feed.started) return { afterMs: pollMs }
  const ended = isTerminal(record.pod.status?.phase)
  if (record.stopAsked === undefined) context.teller.stopping(record.pod)
  const forgotten = clock.now() - record.stopAskedAt >= remindMs
  if (record.stopAsked === undefined || grace < record.stopAsked || forgotten) {
    await askToStop(context, record, record.pod)
    record.stopAsked = Math.min(grace, record.stopAsked ?? grace)
    record.stopAskedAt = clock.now()
  }
  // The job of a finished pod was deleted to tidy up: nothing of it runs.
  if (record.stopped || ended || allEnded(record.remote)) {
    record.stopped = true
    return undefined
  }
  if (feed.capabilities.has('delete.durable') && feed.capabilities.has('watch')) return { afterMs: remindMs }
  const status = (await feed.ask([record.pod])).get(record.uid)
  if (status) record.remote = status
  const due = Date.parse(record.pod.metadata.deletionTimestamp ?? '') + patienceMs
  const overdue = !feed.capabilities.has('delete.durable') && clock.now() > due
  if (!status || allEnded(status) || overdue) {
    record.stopped = true
    return undefined
  }
  return { afterMs: pollMs }
}

async function askToStop(context: PodContext, record: PodRecord, pod: Pod) {
  const { namespace, name } = pod.metadata
  const attributes = { 'pod.name': name ?? '', 'pod.namespace': namespace ?? '', 'pod.uid': record.uid }
  await withSpan('DeletePodVK', attributes, async () => {
    try {
      await context.interlink.delete(strip(pod), { node: context.nodeName })
    } catch (error) {
      // Plugins of the reference fail at what they do not know: then there is nothing left to delete.
      if (context.feed.capabilities.has('delete.durable') || !context.feed.started) throw error
      const known = await context.feed.ask([record.pod])
      if (known.has(record.uid)) throw error
      record.stopped = true
    }
  })
}
