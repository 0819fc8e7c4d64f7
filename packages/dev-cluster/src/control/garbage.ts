/** Owners and dependents: background, foreground and orphan deletion, and the ends of namespaces. */
import type { Cluster } from '../cluster.ts'
import { withoutFinalizer, type KubeObject } from '../object.ts'
import { known, resources, type Resource } from '../resources.ts'
import type { Change } from '../store.ts'
import { trackingFinalizer } from './jobs/tally.ts'

const namespaces = known('v1', 'Namespace')
const kept = resources.filter(
  (resource, index) => resources.findIndex((one) => one.storage === resource.storage) === index
)

interface Held {
  readonly resource: Resource
  readonly object: KubeObject
}

/** Follows every kind; runs until stopped. */
export function runGarbageCollector(cluster: Cluster): () => void {
  const { store } = cluster
  const dependents = new Map<string, Map<string, Held>>()
  const holders = new Map<string, Held>()

  const index = (resource: Resource, { type, object, previous }: Change) => {
    const { uid } = object.metadata
    for (const owner of previous?.metadata.ownerReferences ?? []) {
      const own = dependents.get(owner.uid)
      own?.delete(uid)
      if (own?.size === 0) dependents.delete(owner.uid)
    }
    if (type === 'DELETED') return void holders.delete(uid)
    holders.set(uid, { resource, object })
    for (const owner of object.metadata.ownerReferences ?? []) {
      const own = dependents.get(owner.uid) ?? new Map<string, Held>()
      dependents.set(owner.uid, own.set(uid, { resource, object }))
    }
  }
  const held = (uid: string) => [...(dependents.get(uid)?.values() ?? [])]

  const settle = ({ resource, object }: Held) => {
    const { finalizers = [], uid } = object.metadata
    if (finalizers.includes('orphan')) {
      for (const one of held(uid))
        cluster.change(one.resource, one.object.metadata.namespace, one.object.metadata.name, (found) => ({
          ...found,
          metadata: {
            ...found.metadata,
            ownerReferences: (found.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== uid)
          }
        }))
      release(cluster, { resource, object }, 'orphan')
    } else if (finalizers.includes('foregroundDeletion')) {
      const left = held(uid)
      for (const one of left)
        if (!one.object.metadata.deletionTimestamp) collect(cluster, one, { propagationPolicy: 'Foreground' })
      if (left.length === 0) release(cluster, { resource, object }, 'foregroundDeletion')
    }
  }
  const react = (resource: Resource, { type, object }: Change) => {
    const { uid, namespace, ownerReferences = [] } = object.metadata
    if (type === 'DELETED') {
      for (const one of held(uid)) collect(cluster, one, {})
      for (const owner of ownerReferences) {
        const holder = holders.get(owner.uid)
        if (holder?.object.metadata.deletionTimestamp) settle(holder)
      }
      if (resource.namespaced) endNamespace(cluster, namespace!)
    } else if (object.metadata.deletionTimestamp) {
      const holder = holders.get(uid)
      if (holder) settle(holder)
      if (resource === namespaces) endNamespace(cluster, object.metadata.name)
    }
  }

  for (const resource of kept)
    for (const object of store.list(resource)) index(resource, { type: 'ADDED', object, revision: 0 })
  const stops = kept.map((resource) =>
    store.watch(resource, store.revision, (change) => {
      index(resource, change)
      if (change.type === 'DELETED' || change.object.metadata.deletionTimestamp)
        setImmediate(() => react(resource, change))
    })
  )
  return () => stops.forEach((stop) => stop())
}

function release(cluster: Cluster, { resource, object }: Held, finalizer: string): void {
  cluster.change(resource, object.metadata.namespace, object.metadata.name, (found) =>
    found.metadata.finalizers?.includes(finalizer) ? withoutFinalizer(found, finalizer) : undefined
  )
}

/** Deletes a dependent, if it is still the one it was; nobody counts a pod whose job is gone. */
function collect(
  cluster: Cluster,
  { resource, object }: Held,
  options: { propagationPolicy?: string }
): void {
  release(cluster, { resource, object }, trackingFinalizer)
  const { namespace, name, uid } = object.metadata
  const current = cluster.store.find(resource, namespace, name)
  if (current?.metadata.uid === uid && !current.metadata.deletionTimestamp)
    cluster.delete(resource, current, options)
}

function endNamespace(cluster: Cluster, name: string): void {
  const namespace = cluster.store.find(namespaces, undefined, name)
  if (!namespace?.metadata.deletionTimestamp) return
  let left = 0
  for (const resource of kept.filter((one) => one.namespaced))
    for (const object of cluster.store.list(resource, name)) {
      if (!object.metadata.deletionTimestamp) collect(cluster, { resource, object }, {})
      if (cluster.store.find(resource, name, object.metadata.name)) left++
    }
  if (left > 0) return
  cluster.change(namespaces, undefined, name, (found) => ({
    ...found,
    spec: { ...(found.spec as object), finalizers: [] }
  }))
}
