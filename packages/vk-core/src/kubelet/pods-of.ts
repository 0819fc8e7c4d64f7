import type { Readable } from 'node:stream'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import type { LogQuery, PodView } from '../pods/types.ts'

/** The pods behind one kubelet port, of one node or of many. */
export interface KubeletPods {
  list(): readonly Pod[]
  get(namespace: string, name: string): Pod | undefined
  logs(pod: Pod, container: string, query: LogQuery, signal: AbortSignal): Promise<Readable>
}

export function podsOf(views: readonly PodView[]): KubeletPods {
  const [only] = views
  if (only && views.length === 1) return only
  const viewOf = (namespace: string, name: string) => views.find((view) => view.get(namespace, name))
  return {
    list: () => views.flatMap((view) => view.list()),
    get: (namespace, name) => viewOf(namespace, name)?.get(namespace, name),
    logs: async (pod, container, query, signal) => {
      const view = viewOf(pod.metadata.namespace ?? '', pod.metadata.name ?? '')
      if (!view) throw new Error('the pod has just gone')
      return view.logs(pod, container, query, signal)
    }
  }
}
