/** Owners and dependents: background, foreground and orphan deletion, and the ends of namespaces. */
import type { KubeObject } from '../object.ts'
import { known, resources, type Resource } from '../resources.ts'
import type { Cluster } from '../cluster.ts'

const namespaces = known('v1', 'Namespace')
const kept = resources.filter(
  (resource, index) => resources.findIndex((one) => one.storage === resource.storage) === index
)

/** Follows every kind; runs until stopped. */
export function runGarbageCollector(cluster: Cluster): () => void {
  const { store } = cluster
  const dependents = (uid: string) =>
    kept.flatMap((resource) =>
      store
        .list(resource)
        .filter((object) => object.metadata.ownerReferences?.some((owner) => owner.uid === uid))
        .map((object) => ({ resource, object }))
    )
  const release = (resource: Resource, object: KubeObject, finalizer: string) =>
    cluster.change(resource, object.metadata.namespace, object.metadata.name, (found) => ({
      ...found,
      metadata: {
        ...found.metadata,
        finalizers: (found.metadata.finalizers ?? []).filter((one) => one !== finalizer)
      }
    }))
  const settle = (resource: Resource, object: KubeObject) => {
    const { finalizers = [], uid } = object.metadata
    if (finalizers.includes('orphan')) {
      for (const one of dependents(uid))
        store.put(one.resource, {
          ...one.object,
          metadata: {
            ...one.object.metadata,
            ownerReferences: one.object.metadata.ownerReferences!.filter((owner) => owner.uid !== uid)
          }
        })
      release(resource, object, 'orphan')
    } else if (finalizers.includes('foregroundDeletion')) {
      const left = dependents(uid)
      for (const one of left)
        if (!one.object.metadata.deletionTimestamp)
          cluster.delete(one.resource, one.object, { propagationPolicy: 'Foreground' })
      if (left.length === 0) release(resource, object, 'foregroundDeletion')
    }
  }
  const byOwner = (object: KubeObject) => {
    for (const owner of object.metadata.ownerReferences ?? []) {
      const resource = kept.find((one) => one.kind === owner.kind)
      const found =
        resource &&
        store.list(resource, object.metadata.namespace).find((one) => one.metadata.uid === owner.uid)
      if (resource && found?.metadata.deletionTimestamp) settle(resource, found)
    }
  }
  const stops = kept.map((resource) =>
    store.watch(resource, store.revision, ({ type, object }) =>
      setImmediate(() => {
        if (type === 'DELETED') {
          for (const one of dependents(object.metadata.uid)) cluster.delete(one.resource, one.object)
          byOwner(object)
        } else if (object.metadata.deletionTimestamp) {
          const current = store.find(resource, object.metadata.namespace, object.metadata.name)
          if (current?.metadata.uid === object.metadata.uid) settle(resource, current)
        }
        if (resource.namespaced && type === 'DELETED') endNamespace(cluster, object.metadata.namespace!)
      })
    )
  )
  stops.push(
    store.watch(namespaces, store.revision, ({ object }) =>
      setImmediate(() => {
        if (object.metadata.deletionTimestamp) endNamespace(cluster, object.metadata.name)
      })
    )
  )
  return () => stops.forEach((stop) => stop())
}

function endNamespace(cluster: Cluster, name: string): void {
  const namespace = cluster.store.find(namespaces, undefined, name)
  if (!namespace?.metadata.deletionTimestamp) return
  let left = 0
  for (const resource of kept.filter((one) => one.namespaced))
    for (const object of cluster.store.list(resource, name)) {
      if (!object.metadata.deletionTimestamp) cluster.delete(resource, object)
      if (cluster.store.find(resource, name, object.metadata.name)) left++
    }
  if (left > 0) return
  cluster.change(namespaces, undefined, name, (found) => ({
    ...found,
    spec: { ...(found.spec as object), finalizers: [] }
  }))
}
