import type { ClaimedDevices, ResourceRequirements } from '@interlink-ts/interlink-api/wire'
import { claimsAnnotation, decode, parseJson } from '@interlink-ts/interlink-api/wire'
import type { Context, Placed } from './context.ts'

interface PodClaim {
  readonly name: string
}

interface ContainerClaim {
  readonly name: string
  /** Absent: all requests of the claim. */
  readonly request?: string
}

export interface CompiledClaims {
  /** Names of devices, each once. */
  readonly all: readonly string[]
  readonly of: ReadonlyMap<Placed, readonly string[]>
}

/** Which devices the pod and each of its containers has by resource claims, as the node says they were allocated. */
export function compileClaims(placed: readonly Placed[], context: Context): CompiledClaims {
  const { pod, policy, findings } = context
  if (claimsOf(pod.spec.resources).length > 0)
    findings.refuse('spec.resources.claims', 'claims are for containers; name it in their resources.claims')
  const { resourceClaims = [] } = pod.spec as { readonly resourceClaims?: readonly PodClaim[] }
  const none = { all: [], of: new Map<Placed, readonly string[]>() }
  const wanted = placed.map(({ container, path }) => ({ path, claims: claimsOf(container.resources) }))
  if (resourceClaims.length === 0 && wanted.every(({ claims }) => claims.length === 0)) return none
  if (!policy.backend.claims) {
    const why = 'resource claims cannot be given here; ask for an extended resource'
    if (resourceClaims.length > 0) findings.refuse('spec.resourceClaims', why)
    for (const { path, claims } of wanted)
      if (claims.length > 0) findings.refuse(`${path}.resources.claims`, why)
    return none
  }
  const allocated = readAnnotation(pod.metadata.annotations?.[claimsAnnotation])
  resourceClaims.forEach(({ name }, index) => {
    if (!allocated[name])
      findings.refuse(
        `spec.resourceClaims[${index}]`,
        `the node has not told which devices claim ${name} was allocated; use a node that does, or an extended resource`
      )
  })
  const known = new Set(resourceClaims.map(({ name }) => name))
  const of = placed.map((item, at): [Placed, readonly string[]] => {
    const { path, claims } = wanted[at]!
    const devices = claims.flatMap(({ name, request }, index) => {
      if (!known.has(name))
        findings.refuse(
          `${path}.resources.claims[${index}].name`,
          `the pod has no claim ${name}; add it to spec.resourceClaims`
        )
      return (allocated[name] ?? [])
        .filter((one) => request === undefined || one.request.split('/')[0] === request)
        .map(({ device }) => device)
    })
    return [item, [...new Set(devices)]]
  })
  const all = resourceClaims.flatMap(({ name }) => allocated[name] ?? []).map(({ device }) => device)
  return { all: [...new Set(all)], of: new Map(of) }
}

const claimsOf = (resources: ResourceRequirements | undefined): readonly ContainerClaim[] =>
  (resources as { readonly claims?: readonly ContainerClaim[] } | undefined)?.claims ?? []

/** What cannot be read is as if it were not there. */
function readAnnotation(text: string | undefined): ClaimedDevices {
  if (text === undefined) return {}
  try {
    return decode('ClaimedDevices', parseJson(text))
  } catch {
    return {}
  }
}
