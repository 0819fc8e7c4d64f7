import { claimsAnnotation, type ClaimedDevices, type Pod } from '@interlink-ts/interlink-api/wire'

interface Container {
  readonly resources?: { readonly claims?: readonly { readonly name: string; readonly request?: string }[] }
}

/**
 * A pod as if its resource claims were allocated: in the place of each device that the scheduler would choose stands
 * which claim it is of. `note` says so; absent where the pod has no claims. Pure.
 */
export function withPlaceholders(pod: Pod): { readonly pod: Pod; readonly note?: string } {
  const { resourceClaims = [] } = pod.spec as { readonly resourceClaims?: readonly { name: string }[] }
  if (resourceClaims.length === 0) return { pod }
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers] as readonly Container[]
  const named = containers.flatMap(({ resources }) => resources?.claims ?? [])
  const devices: ClaimedDevices = Object.fromEntries(
    resourceClaims.map(({ name }) => {
      const requests = new Set(named.flatMap((claim) => (claim.name === name ? [claim.request ?? ''] : [])))
      // Who names the claim alone has the devices of all its requests.
      if (requests.size > 1) requests.delete('')
      return [name, [...requests].map((request) => ({ request, device: placeholder(name, request) }))]
    })
  )
  const annotations = { ...pod.metadata.annotations, [claimsAnnotation]: JSON.stringify(devices) }
  const shown = Object.values(devices).flatMap((of) => of.map(({ device }) => device))
  const note = `${shown.join(', ')}: the devices of resource claims are those that the scheduler chooses; given on nodes whose plugin lends cards by claims (devices.offers: claims)`
  return { pod: { ...pod, metadata: { ...pod.metadata, annotations } }, note }
}

const placeholder = (claim: string, request: string): string =>
  `<claim ${claim}${request === '' ? '' : `, request ${request}`}>`
