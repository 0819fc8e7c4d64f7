/** Ephemeral containers, which `kubectl debug` adds to a pod whose job is with its backend already. */
import { InterlinkError } from '@interlink-ts/interlink-api/errors'
import type { Container, Pod } from '@interlink-ts/interlink-api/wire'
import { additionRequest } from '../model/create-request.ts'
import type { Waiting } from '../model/pod-status.ts'
import type { PodContext } from './context.ts'
import { resolutionOf } from './creation.ts'
import { missingText } from './pod-events.ts'
import type { PodRecord } from './record.ts'

/**
 * Sends those that the backend does not name yet; one that it has is not started again. Those that it refuses are told
 * of and left; what may come right throws, to be tried again.
 */
export async function addEphemeralContainers(context: PodContext, record: PodRecord): Promise<void> {
  const { added, notAdded, pod, remote } = record
  for (const { name } of remote?.ephemeralContainers ?? []) added.add(name)
  const left = (pod.spec.ephemeralContainers ?? []).filter(({ name }) => !added.has(name))
  let failure: unknown
  for (const container of left) {
    const { reason } = notAdded.get(container.name) ?? {}
    if (reason === 'Refused') continue
    if (!context.feed.capabilities.has('ephemeral')) {
      if (reason !== 'NotSupported') refuse(context, record, container, notSupported(context))
      continue
    }
    try {
      await add(context, record, container)
    } catch (error) {
      failure ??= error
    }
  }
  if (failure) throw failure
}

async function add(context: PodContext, record: PodRecord, container: Container): Promise<void> {
  const { name } = container
  const resolution = await resolutionOf(context, record, onlyWith(record.pod, container))
  const { request, missing, remarks } = additionRequest(resolution, name)
  const [first] = missing
  if (first || !request) {
    const message = missingText(first!.kind, first!.name, first!.key)
    if (record.notAdded.get(name)?.message !== message) context.teller.missing(record.pod, missing)
    return wait(context, record, name, { reason: 'CreateContainerConfigError', message })
  }
  try {
    await context.interlink.addEphemeral(request, { node: context.nodeName })
  } catch (error) {
    const why = refusalOf(context, error)
    if (why) return refuse(context, record, container, why)
    wait(context, record, name, { reason: 'CreateContainerError', message: (error as Error).message })
    throw error
  }
  for (const { type, reason, message } of remarks) context.teller.tell(record.pod, type, reason, message)
  record.added.add(name)
  record.notAdded.delete(name)
  context.objects.release(record)
  context.changed(record)
}

/** What the container refers to, and nothing that the rest of the pod does. */
const onlyWith = (pod: Pod, container: Container): Pod => ({
  ...pod,
  spec: { containers: [container] }
})

const notSupported = (context: PodContext): Waiting => ({
  reason: 'NotSupported',
  message: `backend ${context.backend() ?? 'of this node'} takes no ephemeral containers: use kubectl exec, or a pod of its own`
})

function refusalOf(context: PodContext, error: unknown): Waiting | undefined {
  if (!(error instanceof InterlinkError) || error.retry !== 'no') return undefined
  if (error.status === 501) return notSupported(context)
  const fields = (error.details.refusals ?? []).map(({ field, message }) => `${field}: ${message}`)
  if (fields.length > 0) return { reason: 'Refused', message: fields.join('; ') }
  return [400, 409, 413, 422].includes(error.status)
    ? { reason: 'Refused', message: error.message }
    : undefined
}

function refuse(context: PodContext, record: PodRecord, { name }: Container, why: Waiting): void {
  const path = `spec.ephemeralContainers{${name}}`
  context.teller.tell(record.pod, 'Warning', why.reason, why.message ?? '', path)
  wait(context, record, name, why)
}

function wait(context: PodContext, record: PodRecord, name: string, why: Waiting): void {
  record.notAdded.set(name, why)
  context.changed(record)
}
