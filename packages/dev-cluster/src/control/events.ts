import { createHash } from 'node:crypto'
import type { Cluster } from '../cluster.ts'
import { now, type KubeObject } from '../object.ts'
import { known } from '../resources.ts'

const events = known('v1', 'Event')
const namespaces = known('v1', 'Namespace')

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
  // the same event has the same name: counting a repeat needs no search
  const id = createHash('sha256')
    .update([uid, component, reason, message].join('\0'))
    .digest('hex')
    .slice(0, 16)
  const home = namespace ?? 'default'
  const same = cluster.store.find(events, home, `${name}.${id}`)
  if (same) {
    cluster.store.put(events, { ...same, count: Number(same.count ?? 1) + 1, lastTimestamp: now() })
    return
  }
  // a namespace that is ending takes no more news
  if (cluster.store.find(namespaces, undefined, home)?.metadata.deletionTimestamp) return
  cluster.create(events, home, {
    metadata: { name: `${name}.${id}` },
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
