/** What a pod's resource claims were allocated, for its backend. Source: Kubernetes API reference v1.35. */
import { deviceDriver, type ClaimedDevices, type Pod } from '@interlink-ts/interlink-api/wire'

/** The parts of a resource.k8s.io/v1 ResourceClaim that are read here. */
export interface ResourceClaim {
  readonly status?: {
    readonly reservedFor?: readonly { readonly resource: string; readonly uid: string }[]
    readonly allocation?: {
      readonly devices?: {
        readonly results?: readonly {
          readonly request: string
          readonly driver: string
          readonly pool: string
          readonly device: string
          readonly adminAccess?: boolean
        }[]
        readonly config?: readonly { readonly opaque?: { readonly driver: string } }[]
      }
    }
  }
}

/** A claim of a pod, by the name that the pod gives it. */
export interface PodClaim {
  readonly name: string
  readonly field: string
  /** Of the object. Absent until it has been made of its template. */
  readonly claim?: string
}

/** A template's claim that the cluster did not make, as the pod is not to have it, is none of the pod's. */
export function podClaims(pod: Pod): PodClaim[] {
  const { resourceClaims = [] } = pod.spec as {
    readonly resourceClaims?: readonly { readonly name: string; readonly resourceClaimName?: string }[]
  }
  const { resourceClaimStatuses = [] } = (pod.status ?? {}) as {
    readonly resourceClaimStatuses?: readonly { readonly name: string; readonly resourceClaimName?: string }[]
  }
  return resourceClaims.flatMap(({ name, resourceClaimName }, index): PodClaim[] => {
    const made = resourceClaimStatuses.find((status) => status.name === name)
    if (resourceClaimName === undefined && made && made.resourceClaimName === undefined) return []
    const claim = resourceClaimName ?? made?.resourceClaimName
    return [{ name, field: `spec.resourceClaims[${index}]`, ...(claim === undefined ? {} : { claim }) }]
  })
}

export type ClaimOutcome =
  | { readonly devices: ClaimedDevices[string] }
  /** May come right by itself. */
  | { readonly pending: string }
  /** Cannot be given by this node, and what to do. */
  | { readonly refusal: string }

/** Which devices of a node a pod has by a claim, `object` undefined where there is none of that name. */
export function claimedDevices(
  { claim }: PodClaim,
  object: ResourceClaim | undefined,
  pod: { readonly uid: string; readonly nodeName: string }
): ClaimOutcome {
  if (claim === undefined) return { pending: 'its claim has not been made of the template yet' }
  const name = `resourceclaim "${claim}"`
  if (!object) return { pending: `${name} not found` }
  const { allocation, reservedFor = [] } = object.status ?? {}
  if (!allocation)
    return { pending: `${name} has no devices: leave spec.nodeName to the scheduler, which allocates them` }
  if (!reservedFor.some(({ resource, uid }) => resource === 'pods' && uid === pod.uid))
    return { pending: `${name} is not reserved for this pod` }
  const { results = [], config = [] } = allocation.devices ?? {}
  const foreign = results.find(({ driver, pool }) => driver !== deviceDriver || pool !== pod.nodeName)
  if (foreign)
    return {
      refusal: `${name} has device ${foreign.device} of driver ${foreign.driver} and pool ${foreign.pool}, which node ${pod.nodeName} does not have; select devices of driver ${deviceDriver}`
    }
  if (results.some(({ adminAccess }) => adminAccess))
    return { refusal: `${name} asks for admin access, which is not given here; remove adminAccess` }
  if (config.some(({ opaque }) => opaque?.driver === deviceDriver))
    return { refusal: `${name} has parameters for ${deviceDriver}, which takes none; remove them` }
  return { devices: results.map(({ request, device }) => ({ request, device })) }
}
