/**
 * How to bring a Node object to its shape, changing only what is ours. What we set is remembered in an annotation, so
 * that a label, taint or resource that is no longer wanted is removed even after a restart, and those of others stay.
 */
import { parseQuantity } from '@interlink-ts/interlink-api/wire'
import { isDeepStrictEqual } from 'node:util'
import { withTimes } from './conditions.ts'
import { taintId, type NodeShape } from './node-shape.ts'
import type { NodeObject, Taint } from './types.ts'

export const appliedAnnotation = 'interlink.io/applied'

/** What this node has set on its object. */
export interface Applied {
  readonly labels: readonly string[]
  readonly annotations: readonly string[]
  readonly resources: readonly string[]
  readonly taints: readonly string[]
  /** The backend's own taints, kept until it speaks of taints again. */
  readonly pingTaints: readonly Taint[]
}

const nothing: Applied = { labels: [], annotations: [], resources: [], taints: [], pingTaints: [] }

export function appliedOf(node: NodeObject): Applied {
  try {
    const text = node.metadata.annotations?.[appliedAnnotation]
    return text ? { ...nothing, ...(JSON.parse(text) as Partial<Applied>) } : nothing
  } catch {
    return nothing
  }
}

function appliedFor(shape: NodeShape, pingTaints: readonly Taint[]): string {
  return JSON.stringify({
    labels: Object.keys(shape.labels).sort(),
    annotations: Object.keys(shape.annotations).sort(),
    resources: Object.keys(shape.resources).sort(),
    taints: shape.taints.map(taintId).sort(),
    pingTaints
  } satisfies Applied)
}

export function newNode(
  shape: NodeShape,
  name: string,
  pingTaints: readonly Taint[],
  now: string
): NodeObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      labels: shape.labels,
      annotations: { ...shape.annotations, [appliedAnnotation]: appliedFor(shape, pingTaints) }
    },
    spec: { ...shape.spec, taints: shape.taints },
    status: {
      ...shape.status,
      capacity: shape.resources,
      allocatable: shape.resources,
      conditions: withTimes(shape.conditions, [], now)
    }
  } as NodeObject
}

/**
 * A merge patch of metadata and spec, or undefined when nothing is to be done. A list can only be replaced as a
 * whole, so a patch of the taints carries the resourceVersion it was made from: a conflict means read and try again.
 */
export function metadataPatch(
  node: NodeObject,
  shape: NodeShape,
  pingTaints: readonly Taint[]
): object | undefined {
  const applied = appliedOf(node)
  const labels = mapPatch(node.metadata.labels, shape.labels, applied.labels)
  const annotations = mapPatch(
    node.metadata.annotations,
    { ...shape.annotations, [appliedAnnotation]: appliedFor(shape, pingTaints) },
    applied.annotations
  )
  const taints = mergedTaints(node.spec?.taints ?? [], shape.taints, applied.taints)
  const spec = {
    ...(taints && { taints }),
    ...(!node.spec?.providerID && { providerID: shape.spec.providerID }),
    ...(!node.spec?.podCIDR && shape.spec.podCIDR && { podCIDR: shape.spec.podCIDR })
  }
  const metadata = {
    ...(labels && { labels }),
    ...(annotations && { annotations }),
    ...(taints && { resourceVersion: node.metadata.resourceVersion })
  }
  if (Object.keys(metadata).length === 0 && Object.keys(spec).length === 0) return undefined
  return { metadata, ...(Object.keys(spec).length > 0 && { spec }) }
}

/** A strategic merge patch of the status, or undefined when nothing changed and no heartbeat is due. */
export function statusPatch(
  node: NodeObject,
  shape: NodeShape,
  now: string,
  heartbeat: boolean
): object | undefined {
  const current = node.status ?? {}
  const { resources: ours } = appliedOf(node)
  const capacity = mapPatch(current.capacity, shape.resources, ours, sameQuantity)
  const allocatable = mapPatch(current.allocatable, shape.resources, ours, sameQuantity)
  const conditions = withTimes(shape.conditions, current.conditions ?? [], now)
  const stale = conditions.some((wanted) => {
    const found = current.conditions?.find((one) => one.type === wanted.type)
    return (
      found?.status !== wanted.status || found.reason !== wanted.reason || found.message !== wanted.message
    )
  })
  const addresses = shape.status.addresses.some(
    (wanted) => !current.addresses?.some((one) => isDeepStrictEqual(one, wanted))
  )
  const endpoint = !isDeepStrictEqual(current.daemonEndpoints, shape.status.daemonEndpoints)
  const info = Object.entries(shape.status.nodeInfo).some(
    ([key, value]) => (current.nodeInfo?.[key] ?? '') !== value
  )
  if (!(capacity || allocatable || stale || addresses || endpoint || info || heartbeat)) return undefined
  return {
    status: {
      conditions,
      ...(capacity && { capacity }),
      ...(allocatable && { allocatable }),
      ...(addresses && { addresses: shape.status.addresses }),
      ...(endpoint && { daemonEndpoints: shape.status.daemonEndpoints }),
      ...(info && { nodeInfo: shape.status.nodeInfo })
    }
  }
}

type StringMap = Readonly<Record<string, string>>

/** Sets what is wanted, removes what was ours and is wanted no more, says nothing of the rest. */
function mapPatch(
  current: StringMap | undefined,
  wanted: StringMap,
  ours: readonly string[],
  same: (a: string | undefined, b: string) => boolean = (a, b) => a === b
): Record<string, string | null> | undefined {
  const patch: Record<string, string | null> = {}
  for (const [key, value] of Object.entries(wanted)) if (!same(current?.[key], value)) patch[key] = value
  for (const key of ours) if (!(key in wanted) && current?.[key] !== undefined) patch[key] = null
  return Object.keys(patch).length > 0 ? patch : undefined
}

/** The API server writes quantities in a form of its own: 3000G comes back as 3T. */
const sameQuantity = (a: string | undefined, b: string) =>
  a === b || (a !== undefined && parseQuantity(a) === parseQuantity(b))

function mergedTaints(
  current: readonly Taint[],
  wanted: readonly Taint[],
  ours: readonly string[]
): readonly Taint[] | undefined {
  const wantedIds = new Set(wanted.map(taintId))
  const foreign = current.filter((taint) => !wantedIds.has(taintId(taint)) && !ours.includes(taintId(taint)))
  const kept = wanted.map(
    (taint) =>
      current.find((one) => taintId(one) === taintId(taint) && (one.value ?? '') === (taint.value ?? '')) ??
      taint
  )
  const merged = [...foreign, ...kept]
  const same = merged.length === current.length && merged.every((taint) => current.includes(taint))
  return same ? undefined : merged
}
