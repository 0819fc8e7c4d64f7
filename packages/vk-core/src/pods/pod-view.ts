import type { InterlinkClient } from '@interlink-ts/interlink-api/client'
import type { LogOpts } from '@interlink-ts/interlink-api/wire'
import type { PodStore } from './pod-store.ts'
import type { BackendOffer, LogQuery, PodView } from './types.ts'

export function createPodView(
  store: PodStore,
  interlink: InterlinkClient,
  node: string,
  offer: () => BackendOffer
): PodView {
  return {
    list: () =>
      store
        .all()
        .filter((record) => !record.vanished)
        .map((record) => record.pod),
    get(namespace, name) {
      const record = store.byName(namespace, name)
      return record && !record.vanished ? record.pod : undefined
    },
    jobId: (uid) => store.get(uid)?.jobId,
    onChange: (listener) => store.onChange(listener),
    events: (uid) => store.get(uid)?.events ?? [],
    async logs(pod, container, query, signal) {
      const { namespace = '', name = '', uid = '' } = pod.metadata
      const request = {
        Namespace: namespace,
        PodUID: uid,
        PodName: name,
        ContainerName: container,
        Opts: logOptions(query)
      }
      const { stream } = await interlink.logs(request, { node, signal })
      return stream
    },
    stream: (pod, ask, signal) => interlink.stream(pod.metadata.uid ?? '', ask, { node, signal }),
    async usage(signal) {
      if (!offer().capabilities.has('usage')) return []
      const used = await interlink.usage({ node, signal })
      return used.filter(({ UID }) => store.get(UID) !== undefined)
    },
    get backend() {
      return offer()
    }
  }
}

const logOptions = (query: LogQuery): LogOpts => ({
  Tail: query.tailLines ?? 0,
  Bytes: query.limitBytes ?? 0,
  Timestamps: query.timestamps,
  Follow: query.follow,
  Previous: query.previous,
  SinceSeconds: query.sinceSeconds ?? 0,
  SinceTime: query.sinceTime ?? '0001-01-01T00:00:00Z',
  ...(query.tailLines === 0 && { TailNone: true })
})
