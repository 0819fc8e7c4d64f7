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
  /** Tokens by `tokenKey`, bound to the pod: for the API they end with it. Throws KubeError. */
  tokens(pod: Pod): Promise<ReadonlyMap<string, string>>
  release(owner: Owner): void
  stop(): Promise<void>
}

/** Source: k8s.io/kubernetes/pkg/serviceaccount/claims.go, ExpirationExtensionSeconds. */
const yearSeconds = 365 * 24 * 60 * 60

export function createPodObjects(options: {
  readonly client: KubeClient
  readonly log: Log
  readonly clock?: Clock
  /**
   * Least lifetime of a token: the files of a job are written once, so what the pod wishes is too short for one that
   * waits or runs long. @default a year, as the API server itself makes it for the token that every pod has
   */
  readonly tokenSeconds?: number
}): PodObjects {
  const { client, tokenSeconds = yearSeconds } = options
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
              expirationSeconds: Math.max(wish.expirationSeconds, tokenSeconds),
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
