import type { ObjectMeta } from '@interlink-ts/interlink-api/wire'

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration'

/** A copy without what no receiver needs: managedFields, and the copy of the object that kubectl apply keeps. */
export function strip<T extends { metadata: ObjectMeta }>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as ObjectMeta & { managedFields?: unknown }
  if (metadata.annotations?.[lastApplied] !== undefined) {
    const { [lastApplied]: __, ...annotations } = metadata.annotations
    metadata.annotations = annotations
  }
  return { ...object, metadata }
}
