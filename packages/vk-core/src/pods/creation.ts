/**
 * From a pod in the API to a job in the backend, once. What makes it once:
 * a backend that offers `create.idempotent` may be asked again at any time; any other is asked again only when the
 * call has provably not reached it, and a call that ended without a word waits until the backend names the job.
 */
import { InterlinkError } from '@interlink-ts/interlink-api/errors'
import { withSpan } from '@interlink-ts/interlink-api/telemetry'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { KubeError } from '../kube/errors.ts'
import { createRequest } from '../model/create-request.ts'
import { address } from '../model/pod-status.ts'
import type { Missing, Resolution } from '../model/resolution.ts'
import { ClaimPending, withClaims } from './claims.ts'
import { lostAfter, type PodContext } from './context.ts'
import { missingText } from './pod-events.ts'
import type { PodRecord } from './record.ts'

const defaultTimeoutMs = 120_000
/** Status of a started pod usually follows at once: then one patch says it all. */
const settleMs = 250

export async function submit(context: PodContext, record: PodRecord): Promise<void> {
  const { namespace, name, uid } = record.pod.metadata
  const attributes = { 'pod.name': name ?? '', 'pod.namespace': namespace ?? '', 'pod.uid': uid ?? '' }
  await withSpan('CreatePodVK', attributes, async () => {
    const request = await prepare(context, record)
    if (!request || record.vanished || record.pod.metadata.deletionTimestamp) return
    const timeoutMs = context.config.createTimeoutMs ?? defaultTimeoutMs
    // Until it is known that the backend has not got it, it may have.
    record.job = 'unclear'
    try {
      const answer = await context.interlink.create(request, {
        node: context.nodeName,
        timeoutMs,
        gather: context.feed.capabilities.has('create.batch')
      })
      adopt(context, record, answer.PodJID)
      context.teller.submitted(record.pod)
    } catch (error) {
      await failed(context, record, error)
    }
  })
}

/** The backend has the job. */
export function adopt(context: PodContext, record: PodRecord, jobId: string | undefined) {
  const first = record.job !== 'submitted'
  record.job = 'submitted'
  record.jobId = jobId || record.jobId
  record.waiting = undefined
  record.createError = undefined
  context.objects.release(record)
  if (!first) return
  const { capabilities } = context.feed
  // Other plugins may not know the pod after their own restart: there the annotation is all there is.
  context.changed(record, capabilities.has('create.idempotent') ? settleMs : 0)
}

/** What there is of the objects that `needed`, the pod or a part of it, refers to. */
export async function resolutionOf(
  context: PodContext,
  record: PodRecord,
  needed: Pod = record.pod
): Promise<Resolution> {
  const { pod } = record
  const { kubernetesApi } = context.config
  const gathered = await context.objects.gather(needed, record)
  return {
    pod,
    addresses: { hostIP: context.nodeIP(), podIP: address({ pod, podIP: context.nodeIP() }) },
    allocatable: context.allocatable(),
    ...gathered,
    tokens: new Map(),
    ...(kubernetesApi?.caData && { ca: kubernetesApi.caData }),
    ...(kubernetesApi?.host &&
      kubernetesApi.port && { kubernetesApi: { host: kubernetesApi.host, port: kubernetesApi.port } })
  }
}

async function prepare(context: PodContext, record: PodRecord) {
  const { pod } = record
  const { jobScriptUrl, disableProjectedVolumes } = context.config
  const claimed = await withClaims(context, pod)
  if ('refusal' in claimed) {
    refuse(context, record, 'Refused', claimed.refusal)
    return undefined
  }
  const resolution = { ...(await resolutionOf(context, record)), pod: claimed.pod }
  const options = {
    ...(jobScriptUrl && { jobScriptUrl }),
    ...(disableProjectedVolumes && { disableProjectedVolumes })
  }
  const check = createRequest(resolution, options)
  if (check.missing.length > 0) {
    wait(context, record, check.missing)
    return undefined
  }
  for (const { type, reason, message } of check.remarks) context.teller.tell(pod, type, reason, message)
  const tokens = disableProjectedVolumes ? new Map<string, string>() : await context.objects.tokens(pod)
  // Tokens are asked for last: each is a write to the API server.
  return tokens.size === 0 ? check.request : createRequest({ ...resolution, tokens }, options).request
}

function wait(context: PodContext, record: PodRecord, missing: readonly Missing[]) {
  const [first] = missing
  if (!first) return
  const message = missingText(first.kind, first.name, first.key)
  const reason = first.use === 'env' ? 'CreateContainerConfigError' : 'ContainerCreating'
  if (record.waiting?.message !== message) context.teller.missing(record.pod, missing)
  record.waiting = { reason, message, ...(first.container && { container: first.container }) }
  context.changed(record)
}

/** Ends in a verdict, in waiting for the backend's word, or throws to be tried again. */
async function failed(context: PodContext, record: PodRecord, error: unknown) {
  // The watch may have told of the job before the answer was lost.
  if (record.job !== 'unclear') return
  if (!(error instanceof InterlinkError)) throw error
  const { refusals = [] } = error.details
  const wrong = error.retry === 'no' && [400, 409, 413, 422].includes(error.status)
  if (refusals.length > 0 || wrong) {
    const fields = refusals.map(({ field, message }) => `${field}: ${message}`).join('; ')
    return refuse(
      context,
      record,
      refusals.length > 0 ? 'Refused' : 'ProviderFailed',
      fields || error.message
    )
  }
  if (error.retry !== 'unknown-outcome') record.job = 'absent'
  if (record.job === 'absent' || context.feed.capabilities.has('create.idempotent')) throw error
  record.createError = error.message
  record.missingSince = context.clock.now()
  // A plugin that has answered has nothing to come: what it does not know now, it has not taken.
  if (error.details.body !== undefined || error.details.answer !== undefined) {
    const known = await context.feed.ask([record.pod])
    const status = known.get(record.uid)
    if (status) return adopt(context, record, status.JID)
    refuse(context, record, 'ProviderFailed', error.message)
  }
}

/** Looks again for a job whose create has ended without a word. */
export async function resolveUnclear(
  context: PodContext,
  record: PodRecord
): Promise<{ afterMs: number } | undefined> {
  const known = await context.feed.ask([record.pod])
  const status = known.get(record.uid)
  if (status) {
    record.remote = status
    adopt(context, record, status.JID)
    return undefined
  }
  const left = (record.missingSince ?? 0) + lostAfter(context) - context.clock.now()
  if (left > 0) return { afterMs: Math.min(left, 2000) }
  const said = record.createError ?? 'no answer'
  refuse(context, record, 'ProviderFailed', `the backend did not take the pod: ${said}`)
  return undefined
}

function refuse(context: PodContext, record: PodRecord, reason: string, message: string) {
  record.verdict = { reason, message }
  record.job = 'absent'
  record.stopped = true
  context.objects.release(record)
  context.teller.tell(
    record.pod,
    'Warning',
    reason === 'Refused' ? 'Refused' : 'ProviderCreateFailed',
    message
  )
  context.changed(record)
}

/** Tells of a create that will be tried again. A backend that is merely away changes no pod. */
export function tellBackoff(context: PodContext, record: PodRecord, error: unknown, retryMs: number) {
  const message = (error as Error).message
  const seconds = Math.round(retryMs / 1000)
  context.log.warn({ pod: record.uid, err: error, retryMs }, 'pod not submitted, trying again')
  if (error instanceof ClaimPending) {
    context.teller.tell(record.pod, 'Warning', 'FailedPrepareDynamicResources', message)
    record.waiting = { reason: 'ContainerCreating', message }
    return context.changed(record)
  }
  if (error instanceof KubeError) {
    context.teller.tell(
      record.pod,
      'Warning',
      'FailedMount',
      `what the pod refers to cannot be read: ${message}`
    )
    record.waiting = { reason: 'CreateContainerConfigError', message }
    return context.changed(record)
  }
  context.teller.tell(
    record.pod,
    'Warning',
    'BackOff',
    `Back-off submitting the pod to the backend: ${message}`
  )
  context.log.debug({ pod: record.uid, seconds }, 'back-off')
  if (error instanceof InterlinkError && error.code === 'IL_UNREACHABLE') return
  record.waiting = { reason: 'CreateContainerError', message }
  context.changed(record)
}
