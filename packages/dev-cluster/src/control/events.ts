import type { Cluster } from '../cluster.ts'
import { now, type KubeObject } from '../object.ts'
import { known } from '../resources.ts'

const events = known('v1', 'Event')

/** Tells an event about an object; a repeat of the last one is counted, not added. */
export function tell(
  cluster: Cluster,
  about: KubeObject,
  component: string,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string
): void {
  const { namespace, name, uid } = about.metadata
  const same = cluster.store
    .list(events, namespace)
    .find(
      (event) =>
        (event.involvedObject as { uid?: string }).uid === uid &&
        event.reason === reason &&
        event.message === message
    )
  if (same) {
    cluster.store.put(events, { ...same, count: Number(same.count ?? 1) + 1, lastTimestamp: now() })
    return
  }
  cluster.create(events, namespace ?? 'default', {
    metadata: { generateName: `${name}.` },
    involvedObject: {
      apiVersion: about.apiVersion,
      kind: about.kind,
      name,
      ...(namespace ? { namespace } : {}),
      uid
    },
    type,
    reason,
    message,
    count: 1,
    firstTimestamp: now(),
    lastTimestamp: now(),
    source: { component },
    reportingComponent: component
  })
}
