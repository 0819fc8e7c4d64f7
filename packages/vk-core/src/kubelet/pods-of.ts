import type { Readable } from 'node:stream'
import type { Pod, PodUsage } from '@interlink-ts/interlink-api/wire'
import type { StreamAsk, StreamSession } from '@interlink-ts/interlink-api/client'
import type { BackendOffer, LogQuery, PodView } from '../pods/types.ts'

/** The pods behind one kubelet port, of one node or of many. */
export interface KubeletPods {
  list(): readonly Pod[]
  get(namespace: string, name: string): Pod | undefined
  logs(pod: Pod, container: string, query: LogQuery, signal: AbortSignal): Promise<Readable>
  stream(pod: Pod, ask: StreamAsk, signal: AbortSignal): Promise<StreamSession>
  usage(signal: AbortSignal): Promise<readonly PodUsage[]>
  /** Whether usage is known at all. */
  measures(): boolean
  /** Of the backend that has the pod. */
  backendOf(pod: Pod): BackendOffer
}

export function podsOf(views: readonly PodView[]): KubeletPods {
  const viewOf = (namespace: string, name: string) => views.find((view) => view.get(namespace, name))
  const mustView = ({ metadata }: Pod) => {
    const view = viewOf(metadata.namespace ?? '', metadata.name ?? '')
    if (!view) throw new Error('the pod has just gone')
    return view
  }
  return {
    list: () => views.flatMap((view) => view.list()),
    get: (namespace, name) => viewOf(namespace, name)?.get(namespace, name),
    logs: async (pod, container, query, signal) => mustView(pod).logs(pod, container, query, signal),
    stream: async (pod, ask, signal) => mustView(pod).stream(pod, ask, signal),
    measures: () => views.some(({ backend }) => backend.capabilities.has('usage')),
    usage: async (signal) => (await Promise.all(views.map((view) => view.usage(signal)))).flat(),
    backendOf: (pod) => mustView(pod).backend
  }
}
