import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { isConflict, isNotFound, isRejected, type KubeClient } from '@interlink-ts/vk-core/kube'
import type { Narrator } from './narrator.ts'
import { explain, UsageError } from './errors.ts'

const podPath = (pod: Pod) => `/api/v1/namespaces/${pod.metadata.namespace}/pods/${pod.metadata.name}`

/** Creates the pod; one of the same name that is there already is an error that says what to do. */
export async function applyPod(kube: KubeClient, pod: Pod): Promise<Pod> {
  const { namespace, name } = pod.metadata
  try {
    return await kube.create<Pod>(`/api/v1/namespaces/${namespace}/pods`, {
      apiVersion: 'v1',
      kind: 'Pod',
      ...pod
    })
  } catch (error) {
    if ((error as { reason?: string }).reason !== 'AlreadyExists') throw error
    throw new UsageError(`pod ${namespace}/${name} exists already; delete it first, or give another by --pod`)
  }
}

/** Waits until the node is Ready. */
export async function nodeReady(kube: KubeClient, name: string, signal: AbortSignal): Promise<void> {
  type Node = { status?: { conditions?: { type: string; status: string }[] } }
  await watchUntil<Node>(kube, '/api/v1/nodes', name, signal, (node) =>
    Boolean(
      node?.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True')
    )
  )
}

/** Tells every phase of the pod and its log as it grows; resolves to the last phase, `Deleted` if it was deleted. */
export async function followPod(
  kube: KubeClient,
  pod: Pod,
  say: Narrator,
  signal: AbortSignal
): Promise<string> {
  const since = performance.now()
  const subject = `pod/${pod.metadata.name}`
  let phase: string | undefined
  let trouble: string | undefined
  let logged: Promise<void> | undefined
  const tell = (next: string) => {
    say.phase(subject, phase, next, (performance.now() - since) / 1000)
    phase = next
  }
  const log = () =>
    streamLog(kube, pod, say, signal).catch((error) => {
      if (!signal.aborted) say.note(`the log cannot be read: ${explain(error)}`)
    })
  let last: Pod | undefined
  await watchUntil<Pod>(
    kube,
    `/api/v1/namespaces/${pod.metadata.namespace}/pods`,
    pod.metadata.name!,
    signal,
    (seen) => {
      last = seen
      if (!seen) return true
      const now = seen.status?.phase ?? 'Unknown'
      if (ended(seen)) return true
      if (now !== phase) tell(now)
      const wrong = troubleOf(seen)
      if (wrong && wrong !== trouble) say.note((trouble = wrong))
      // Awaited below, once the watch has ended as well.
      if (now === 'Running') logged ??= log()
      return false
    }
  )
  await (logged ?? (last?.status?.phase === 'Succeeded' ? log() : undefined))
  signal.throwIfAborted()
  tell(last?.status?.phase ?? 'Deleted')
  if (phase === 'Failed') say.note(failureOf(last!))
  return phase!
}

const ended = (pod: Pod): boolean => ['Succeeded', 'Failed'].includes(pod.status?.phase ?? '')

/** Why a pod that waits does so, where the cluster says it. */
function troubleOf({ status }: Pod): string | undefined {
  const unplaced = status?.conditions?.find(
    ({ type, status }) => type === 'PodScheduled' && status === 'False'
  )
  if (unplaced?.message) return unplaced.message
  const waiting = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].map(
    ({ state }) => state?.waiting
  )
  const said = waiting.find((one) => one?.message)
  return said && `${said.reason ?? 'waiting'}: ${said.message}`
}

function failureOf({ status }: Pod): string {
  if (status?.reason || status?.message) return [status.reason, status.message].filter(Boolean).join(': ')
  return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
    .flatMap(({ name, state }) => {
      const end = state?.terminated
      if (!end || end.exitCode === 0) return []
      const more = [end.reason, end.message].filter(Boolean).join(': ')
      return `container ${name} ended with exit code ${end.exitCode}${more && ` (${more})`}`
    })
    .join('; ')
}

async function streamLog(kube: KubeClient, pod: Pod, say: Narrator, signal: AbortSignal): Promise<void> {
  const container = pod.spec.containers[0]!.name
  const body = await kube.stream(`${podPath(pod)}/log`, { container, follow: true }, { signal })
  for await (const line of createInterface({ input: body })) say.logLine(line)
}

/** The pods bound to a node, in every namespace. */
export async function podsOnNode(kube: KubeClient, node: string): Promise<readonly Pod[]> {
  const list = await kube.get<{ items: Pod[] }>('/api/v1/pods', { fieldSelector: `spec.nodeName=${node}` })
  return list.items
}

/** Those of them that end with nobody's leave: what a DaemonSet puts on every node does not count, nor what has ended. */
export async function podsAtWork(kube: KubeClient, node: string): Promise<readonly Pod[]> {
  const ofDaemonSet = (pod: Pod) => pod.metadata.ownerReferences?.some(({ kind }) => kind === 'DaemonSet')
  return (await podsOnNode(kube, node)).filter((pod) => !ended(pod) && !ofDaemonSet(pod))
}

/** Deletes a pod, not another of its name, with a short grace, and waits until it is gone. */
export async function removePod(kube: KubeClient, pod: Pod): Promise<void> {
  const { uid } = pod.metadata
  const path = podPath(pod)
  try {
    await kube.delete(path, { gracePeriodSeconds: 5, preconditions: { uid } })
    for (let wait = 50; ; wait = Math.min(wait * 2, 1000)) {
      if ((await kube.get<Pod>(path)).metadata.uid !== uid) return
      await sleep(wait)
    }
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error
  }
}

/** Shows the object as it changes, and undefined while there is none, until `done` says so. */
async function watchUntil<T>(
  kube: KubeClient,
  collection: string,
  name: string,
  signal: AbortSignal,
  done: (object: T | undefined) => boolean
): Promise<void> {
  const query = { fieldSelector: `metadata.name=${name}` }
  for (;;) {
    try {
      const list = await kube.get<{ metadata: { resourceVersion: string }; items: T[] }>(collection, query, {
        signal
      })
      if (list.items.length > 0 ? list.items.some(done) : done(undefined)) return
      const from = { ...query, resourceVersion: list.metadata.resourceVersion, timeoutSeconds: 60 }
      for await (const { type, object } of kube.watch(collection, from, { signal }))
        if (type !== 'ERROR' && type !== 'BOOKMARK' && done(type === 'DELETED' ? undefined : (object as T)))
          return
    } catch (error) {
      // An API server that is away for a moment is no reason to give up: the node does not either.
      if (signal.aborted || isRejected(error)) throw error
      await sleep(1000, undefined, { signal })
    }
  }
}
