/** Which ConfigMaps and Secrets a pod needs before it can be handed to a backend. */
import type { Pod } from '@interlink-ts/interlink-api/wire'

export type ReferenceKind = 'ConfigMap' | 'Secret'

export interface Reference {
  readonly kind: ReferenceKind
  readonly name: string
}

/** Each object once, optional ones included. */
export function collectReferences(pod: Pod): Reference[] {
  const found = new Map<string, Reference>()
  const add = (kind: ReferenceKind, name: string | undefined) => {
    if (name) found.set(`${kind}/${name}`, { kind, name })
  }
  for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
    for (const { configMapRef, secretRef } of container.envFrom ?? []) {
      add('ConfigMap', configMapRef?.name)
      add('Secret', secretRef?.name)
    }
    for (const { valueFrom } of container.env ?? []) {
      add('ConfigMap', valueFrom?.configMapKeyRef?.name)
      add('Secret', valueFrom?.secretKeyRef?.name)
    }
  }
  for (const volume of pod.spec.volumes ?? []) {
    add('ConfigMap', volume.configMap?.name)
    add('Secret', volume.secret?.secretName)
    for (const source of volume.projected?.sources ?? []) {
      add('ConfigMap', source.configMap?.name)
      add('Secret', source.secret?.name)
    }
  }
  for (const { name } of pod.spec.imagePullSecrets ?? []) add('Secret', name)
  return [...found.values()]
}

/** A token that some projected volume of the pod asks for. */
export interface TokenWish {
  readonly audience: string | undefined
  readonly expirationSeconds: number
}

/** Each audience and lifetime once. */
export function collectTokens(pod: Pod): TokenWish[] {
  const found = new Map<string, TokenWish>()
  for (const volume of pod.spec.volumes ?? []) {
    for (const { serviceAccountToken } of volume.projected?.sources ?? []) {
      if (!serviceAccountToken) continue
      const wish = {
        audience: serviceAccountToken.audience || undefined,
        expirationSeconds: serviceAccountToken.expirationSeconds ?? 3600
      }
      found.set(tokenKey(wish), wish)
    }
  }
  return [...found.values()]
}

export const tokenKey = (wish: TokenWish) => `${wish.audience ?? ''}\0${wish.expirationSeconds}`
