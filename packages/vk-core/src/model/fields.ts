/** What `fieldRef` and `resourceFieldRef` can name. Source: kubelet, `podFieldSelectorRuntimeValue` and pkg/fieldpath. */
import { divideUp, parseQuantity, type Container, type Pod } from '@interlink-ts/interlink-api/wire'

export interface Addresses {
  readonly hostIP: string
  readonly podIP: string
}

/** Resource names to quantities. */
export type Quantities = Readonly<Record<string, string>>

const one = parseQuantity('1')!
const subscript = /^(metadata\.(?:labels|annotations))\['(.*)'\]$/

/** The value of a field path; undefined when the path is not one a kubelet knows. */
export function fieldValue(pod: Pod, path: string, addresses: Addresses): string | undefined {
  const { metadata, spec } = pod
  const [, map, key = ''] = subscript.exec(path) ?? []
  if (map === 'metadata.labels') return metadata.labels?.[key] ?? ''
  if (map === 'metadata.annotations') return metadata.annotations?.[key] ?? ''
  switch (path) {
    case 'metadata.name':
      return metadata.name ?? ''
    case 'metadata.namespace':
      return metadata.namespace ?? ''
    case 'metadata.uid':
      return metadata.uid ?? ''
    case 'metadata.labels':
      return formatMap(metadata.labels)
    case 'metadata.annotations':
      return formatMap(metadata.annotations)
    case 'spec.nodeName':
      return spec.nodeName ?? ''
    case 'spec.serviceAccountName':
      return spec.serviceAccountName ?? ''
    case 'status.hostIP':
    case 'status.hostIPs':
      return addresses.hostIP
    case 'status.podIP':
    case 'status.podIPs':
      return addresses.podIP
    default:
      return undefined
  }
}

const formatMap = (map: Readonly<Record<string, string>> = {}) =>
  Object.keys(map)
    .sort()
    .map((key) => `${key}=${JSON.stringify(map[key])}`)
    .join('\n')

export interface ResourceRef {
  readonly containerName?: string
  readonly resource: string
  readonly divisor?: string | number
}

/** A limit that is not set is the node's allocatable; a request that is not set is the limit, else 0. */
export function resourceValue(
  pod: Pod,
  container: Container | undefined,
  ref: ResourceRef,
  allocatable: Quantities
): string | undefined {
  const of = ref.containerName
    ? [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find(
        (one) => one.name === ref.containerName
      )
    : container
  const [kind, resource = ''] = split(ref.resource)
  if (!of || (kind !== 'limits' && kind !== 'requests')) return undefined
  const { limits, requests } = of.resources ?? {}
  const value =
    kind === 'limits'
      ? (parseQuantity(limits?.[resource]) ?? parseQuantity(allocatable[resource]))
      : (parseQuantity(requests?.[resource]) ?? parseQuantity(limits?.[resource]))
  const divisor = parseQuantity(ref.divisor) || one
  return divideUp(value ?? 0n, divisor > 0n ? divisor : one)
}

function split(text: string): [string, string] {
  const dot = text.indexOf('.')
  return [text.slice(0, dot), text.slice(dot + 1)]
}
