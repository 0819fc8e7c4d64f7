import { createInterface } from 'node:readline'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import type { KubeClient } from '@interlink-ts/vk-core/kube'
import type { Narrator } from './narrator.ts'
import { UsageError } from './errors.ts'

const podPath = (pod: Pod) => `/api/v1/namespaces/${pod.metadata.namespace}/pods/${pod.metadata.name}`

/** Creates the pod; one of the same name that is there already is an error that says what to do. */
export async function applyPod(kube: KubeClient, pod: Pod): Promise<void> {
  const { namespace, name } = pod.metadata
  try {
    await kube.create(`/api/v1/namespaces/${namespace}/pods`, { apiVersion: 'v1', kind: 'Pod', ...pod })
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
      node.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True')
    )
  )
}

/** Tells every phase of the pod and its log as it grows; resolves to the last phase. */
export async function followPod(
  kube: KubeClient,
  pod: Pod,
  say: Narrator,
  signal: AbortSignal
): Promise<string> {
  const since = performance.now()
  const subject = `pod/${pod.metadata.name}`
  let phase: string | undefined
  let logged: Promise<void> | undefined
  await watchUntil<Pod>(
    kube,
    `/api/v1/namespaces/${pod.metadata.namespace}/pods`,
    pod.metadata.name!,
    signal,
    (seen) => {
      const now = seen.status?.phase
      if (now && now !== phase) {
        if (['Succeeded', 'Failed'].includes(now)) return true
        say.phase(subject, phase, now, (performance.now() - since) / 1000)
        phase = now
        if (now === 'Running' && !logged) {
          logged = streamLog(kube, pod, say, signal)
          // Awaited below; an interrupt ends both this and the watch, and only one of them has a listener then.
          logged.catch(() => undefined)
        }
      }
      return false
    }
  )
  const ended = await kube.get<Pod>(podPath(pod))
  await (logged ?? (ended.status?.phase === 'Succeeded' ? streamLog(kube, pod, say, signal) : undefined))
  const last = ended.status?.phase ?? 'Unknown'
  say.phase(subject, phase, last, (performance.now() - since) / 1000)
  if (last === 'Failed') say.note([ended.status?.reason, ended.status?.message].filter(Boolean).join(': '))
  return last
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

/** Deletes a pod with a short grace and waits until it is gone. */
export async function removePod(kube: KubeClient, pod: Pod): Promise<void> {
  const gone = (error: unknown) => (error as { status?: number }).status === 404
  try {
    await kube.delete(podPath(pod), { gracePeriodSeconds: 5 })
    for (let wait = 50; ; wait = Math.min(wait * 2, 1000)) {
      await kube.get(podPath(pod))
      await new Promise((resolve) => setTimeout(resolve, wait))
    }
  } catch (error) {
    if (!gone(error)) throw error
  }
}

async function watchUntil<T>(
  kube: KubeClient,
  collection: string,
  name: string,
  signal: AbortSignal,
  done: (object: T) => boolean
): Promise<void> {
  const query = { fieldSelector: `metadata.name=${name}` }
  for (;;) {
    signal.throwIfAborted()
    const list = await kube.get<{ metadata: { resourceVersion: string }; items: T[] }>(collection, query)
    if (list.items.some(done)) return
    const from = { ...query, resourceVersion: list.metadata.resourceVersion, timeoutSeconds: 60 }
    for await (const line of kube.watch(collection, from, { signal }))
      if (line.type !== 'ERROR' && line.type !== 'BOOKMARK' && done(line.object as T)) return
  }
}
