/** The devices of a pod's resource claims, as they travel to its backend. */
import { claimsAnnotation, type ClaimedDevices, type Pod } from '@interlink-ts/interlink-api/wire'
import { isNotFound } from '../kube/errors.ts'
import { claimedDevices, podClaims, type ResourceClaim } from '../model/claims.ts'
import type { PodContext } from './context.ts'

/** What a pod's claims lack may still come: to be tried again. */
export class ClaimPending extends Error {
  override readonly name = 'ClaimPending'
}

/**
 * The pod with what its claims were allocated, or why it cannot run here. What it says itself of that is taken away.
 * @throws ClaimPending, KubeError
 */
export async function withClaims(
  { kube, feed, backend, nodeName }: Pick<PodContext, 'kube' | 'feed' | 'backend' | 'nodeName'>,
  pod: Pod
): Promise<{ readonly pod: Pod } | { readonly refusal: string }> {
  const { [claimsAnnotation]: own, ...annotations } = pod.metadata.annotations ?? {}
  const bare = own === undefined ? pod : { ...pod, metadata: { ...pod.metadata, annotations } }
  const claims = podClaims(pod)
  const [first] = claims
  if (!first) return { pod: bare }
  if (!feed.capabilities.has('devices'))
    return {
      refusal: `${first.field}: backend ${backend() ?? 'of this node'} gives no devices by resource claims; ask for an extended resource, or for a node that does`
    }
  const { uid = '', namespace = '' } = pod.metadata
  const path = `/apis/resource.k8s.io/v1/namespaces/${namespace}/resourceclaims`
  const allocated: ClaimedDevices = {}
  for (const claim of claims) {
    const object =
      claim.claim === undefined
        ? undefined
        : await kube.get<ResourceClaim>(`${path}/${encodeURIComponent(claim.claim)}`).catch((error) => {
            if (isNotFound(error)) return undefined
            throw error
          })
    const outcome = claimedDevices(claim, object, { uid, nodeName })
    if ('refusal' in outcome) return { refusal: `${claim.field}: ${outcome.refusal}` }
    if ('pending' in outcome) throw new ClaimPending(outcome.pending)
    allocated[claim.name] = outcome.devices
  }
  const told = { ...annotations, [claimsAnnotation]: JSON.stringify(allocated) }
  return { pod: { ...pod, metadata: { ...pod.metadata, annotations: told } } }
}
