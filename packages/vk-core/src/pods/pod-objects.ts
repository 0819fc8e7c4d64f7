/** Gathers what a pod refers to: ConfigMaps, Secrets and service account tokens. */
import type { ConfigMap, Pod, Secret } from '@interlink-ts/interlink-api/wire'
import type { Clock } from '../kube/clock.ts'
import type { Log } from '../kube/log.ts'
import { createObjectCache, type Owner } from '../kube/object-cache.ts'
import type { KubeClient } from '../kube/types.ts'
import { collectReferences, collectTokens, tokenKey } from '../model/references.ts'

export interface GatheredObjects {
  readonly configMaps: ReadonlyMap<string, ConfigMap>
  readonly secrets: ReadonlyMap<string, Secret>
}

/** Shared by all nodes of a process. */
export interface PodObjects {
  /** What there is; `owner` is told when that changes, until it is released. */
  gather(pod: Pod, owner: Owner): Promise<GatheredObjects>
  /** Tokens by `tokenKey`, bound to the pod: they end with it. Throws KubeError. */
  tokens(pod: Pod): Promise<ReadonlyMap<string, string>>
  release(owner: Owner): void
  stop(): Promise<void>
}

export function createPodObjects(options: {
  readonly client: KubeClient
  readonly log: Log
  readonly clock?: Clock
}): PodObjects {
  const { client } = options
  const configMaps = createObjectCache<ConfigMap>({ ...options, resource: 'configmaps' })
  const secrets = createObjectCache<Secret>({ ...options, resource: 'secrets' })

  return {
    async gather(pod, owner) {
      const found = { configMaps: new Map<string, ConfigMap>(), secrets: new Map<string, Secret>() }
      const namespace = pod.metadata.namespace ?? ''
      await Promise.all(
        collectReferences(pod).map(async ({ kind, name }) => {
          if (kind === 'ConfigMap') {
            const object = await configMaps.get(owner, namespace, name)
            if (object) found.configMaps.set(name, object)
          } else {
            const object = await secrets.get(owner, namespace, name)
            if (object) found.secrets.set(name, object)
          }
        })
      )
      return found
    },
    async tokens(pod) {
      const { namespace, name, uid } = pod.metadata
      const account = pod.spec.serviceAccountName ?? 'default'
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${encodeURIComponent(account)}/token`
      const found = new Map<string, string>()
      await Promise.all(
        collectTokens(pod).map(async (wish) => {
          const answer = await client.create<{ status: { token: string } }>(path, {
            apiVersion: 'authentication.k8s.io/v1',
            kind: 'TokenRequest',
            spec: {
              ...(wish.audience !== undefined && { audiences: [wish.audience] }),
              expirationSeconds: wish.expirationSeconds,
              boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid }
            }
          })
          found.set(tokenKey(wish), answer.status.token)
        })
      )
      return found
    },
    release(owner) {
      configMaps.release(owner)
      secrets.release(owner)
    },
    async stop() {
      await Promise.all([configMaps.stop(), secrets.stop()])
    }
  }
}
