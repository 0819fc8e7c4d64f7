/** What a backend lends by resource claims, as the ResourceSlices of its node. Source: Kubernetes API reference v1.35. */
import { deviceDriver, type DeviceOffer } from '@interlink-ts/interlink-api/wire'

export interface ResourceSlice {
  readonly apiVersion: 'resource.k8s.io/v1'
  readonly kind: 'ResourceSlice'
  readonly metadata: {
    readonly name: string
    /** The slices of a node that is deleted are garbage. */
    readonly ownerReferences: readonly {
      readonly apiVersion: 'v1'
      readonly kind: 'Node'
      readonly name: string
      readonly uid: string
      readonly controller: true
    }[]
  }
  readonly spec: {
    readonly driver: string
    readonly nodeName: string
    readonly pool: { readonly name: string; readonly generation: number; readonly resourceSliceCount: number }
    /** A slice has one of the two. */
    readonly sharedCounters?: DeviceOffer['sharedCounters']
    readonly devices?: DeviceOffer['devices']
  }
}

/** Limits of the API: devices in a slice whose devices take counters, and counter sets in a slice. */
const maxDevices = 64
const maxCounterSets = 8

/**
 * The pool of a node, of its name. None where there are no devices.
 * @param generation grows with every change of the pool: slices of an older one are not looked at
 */
export function resourceSlices(
  { devices, sharedCounters = [] }: DeviceOffer,
  node: { readonly name: string; readonly uid: string },
  generation: number
): ResourceSlice[] {
  const { name } = node
  const parts = [
    ...chunks(sharedCounters, maxCounterSets).map((sharedCounters) => ({ sharedCounters })),
    ...chunks(devices, maxDevices).map((devices) => ({ devices }))
  ]
  return parts.map((part, index) => ({
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceSlice',
    metadata: {
      name: `${name}-${deviceDriver}-${index}`,
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', ...node, controller: true }]
    },
    spec: {
      driver: deviceDriver,
      nodeName: name,
      pool: { name, generation, resourceSliceCount: parts.length },
      ...part
    }
  }))
}

/** For an API server that keeps no counters: what excludes each other must then not be offered. */
export const withoutCounters = ({ devices }: DeviceOffer): DeviceOffer => ({
  devices: devices.filter(({ consumesCounters = [] }) => consumesCounters.length === 0)
})

function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, at) =>
    all.slice(at * size, (at + 1) * size)
  )
}
