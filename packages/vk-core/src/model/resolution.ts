/** What resolving a pod needs from outside, and what it may find missing. */
import type { ConfigMap, Pod, Secret } from '@interlink-ts/interlink-api/wire'
import type { Addresses, Quantities } from './fields.ts'
import type { ReferenceKind } from './references.ts'

export interface Resolution {
  readonly pod: Pod
  readonly addresses: Addresses
  /** The node's allocatable, for limits that are not set. */
  readonly allocatable: Quantities
  readonly configMaps: ReadonlyMap<string, ConfigMap>
  readonly secrets: ReadonlyMap<string, Secret>
  /** By `tokenKey`. */
  readonly tokens: ReadonlyMap<string, string>
  /** PEM that replaces `kube-root-ca.crt` in projected volumes, for jobs that reach the API by another way. */
  readonly ca?: string
  /** Gives every container the KUBERNETES_* variables. */
  readonly kubernetesApi?: { readonly host: string; readonly port: string }
}

/** Something the pod cannot do without. `use` says whether the environment or a volume asks for it. */
export interface Missing {
  readonly kind: ReferenceKind
  readonly name: string
  readonly key?: string
  readonly use: 'env' | { readonly volume: string }
  readonly container?: string
}

/** Something to be told once, as an event. */
export interface Remark {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

export interface Findings {
  readonly missing: Missing[]
  readonly remarks: Remark[]
}

/** An optional object or key that is not there: told with the names that the virtual kubelet of old uses. */
export const optionalMissing = (kind: ReferenceKind, name: string, key?: string): Remark => ({
  type: 'Warning',
  reason: `Optional${kind}${key === undefined ? '' : 'Key'}NotFound`,
  message:
    key === undefined
      ? `skipping optional ${kind} "${name}", not found`
      : `skipping optional key "${key}" of ${kind} "${name}", not found`
})

/** The value of a key as text: Secrets are base64, binaryData too. */
export function keyBytes(kind: ReferenceKind, object: ConfigMap | Secret, key: string): Buffer | undefined {
  const data = object.data?.[key]
  if (kind === 'Secret') return data === undefined ? undefined : Buffer.from(data, 'base64')
  if (data !== undefined) return Buffer.from(data, 'utf8')
  const binary = (object as ConfigMap).binaryData?.[key]
  return binary === undefined ? undefined : Buffer.from(binary, 'base64')
}
