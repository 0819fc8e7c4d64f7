import { randomBytes } from 'node:crypto'

/** A Kubernetes object as plain JSON. Stored objects are never changed in place. */
export interface KubeObject {
  apiVersion?: string
  kind?: string
  metadata: Metadata
  // Every kind has fields of its own; the cluster is generic over them.
  [field: string]: unknown
}

export interface Metadata {
  name: string
  generateName?: string
  namespace?: string
  uid: string
  resourceVersion: string
  generation?: number
  creationTimestamp: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  labels?: Record<string, string>
  annotations?: Record<string, string>
  finalizers?: string[]
  ownerReferences?: OwnerReference[]
  [field: string]: unknown
}

export interface OwnerReference {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}

/** Any JSON object, read by path. */
export type Json = { [key: string]: unknown }

/** The value at a path of keys, or undefined where the path ends early. */
export const at = <T = unknown>(value: unknown, ...path: (string | number)[]): T | undefined =>
  path.reduce<unknown>((here, key) => (here as Json | undefined | null)?.[key], value) as T | undefined

const letters = 'bcdfghjklmnpqrstvwxz2456789'

/** What `generateName` adds: five characters that spell no word. */
export const nameSuffix = (): string =>
  Array.from(randomBytes(5), (byte) => letters[byte % letters.length]).join('')

export const now = (): string => new Date().toISOString().replace(/\.\d+Z$/, 'Z')

export const ownedBy = (object: KubeObject, uid: string): boolean =>
  object.metadata.ownerReferences?.some(
    (reference) => reference.uid === uid && reference.controller === true
  ) ?? false

/** An object without one of its finalizers. */
export function withoutFinalizer(object: KubeObject, finalizer: string): KubeObject {
  const { finalizers = [], ...metadata } = object.metadata
  const left = finalizers.filter((one) => one !== finalizer)
  return { ...object, metadata: { ...metadata, ...(left.length > 0 ? { finalizers: left } : {}) } }
}
