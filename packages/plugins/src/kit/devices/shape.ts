import type { Card, Sharing } from './card.ts'
import { migGeometries, migResource, type MigGeometry } from './mig-geometry.ts'

/** One way to give a resource on a card: some of its parts, as bits of the card's state. */
export interface Placement {
  readonly resource: string
  /** Of MIG. */
  readonly profile?: string
  /** The first part: a memory slice of MIG, a replica, a virtual function, an accelerator. */
  readonly start: number
  readonly size: number
  readonly mask: number
  /** Of the card, for what is counted: the larger of its shares of memory and computing. */
  readonly share: number
  /** What it is worth beside others of its card: compute slices, or 1. */
  readonly weight: number
}

/**
 * What can be placed on a card, whatever kind it is. The state of a card is a number whose bits are the parts that are
 * taken, so that two cards of one shape and one state are alike to a placement. Shapes are interned: cards that are
 * shared in the same way have the same one.
 */
export interface Shape {
  readonly key: string
  /** Parts that count as size; bits above them stand for engines that a card has once. */
  readonly parts: number
  readonly resources: readonly string[]
  /** Users of one card slow each other down, so they are kept apart while there is room. */
  readonly spreads: boolean
  readonly placements: ReadonlyMap<string, readonly Placement[]>
}

const shapes = new Map<string, Shape>()

export function shapeOf(card: Pick<Card, 'vendor' | 'sharing'>): Shape {
  const key = `${card.vendor} ${keyOf(card.sharing)}`
  const known = shapes.get(key)
  if (known) return known
  const { parts, placements } = partsOf(card)
  const byResource = new Map<string, Placement[]>()
  for (const placement of placements) {
    const others = byResource.get(placement.resource)
    if (others) others.push(placement)
    else byResource.set(placement.resource, [placement])
  }
  const shape: Shape = {
    key,
    parts,
    placements: byResource,
    resources: [...byResource.keys()],
    spreads: card.sharing.type === 'timeslice'
  }
  shapes.set(key, shape)
  return shape
}

/** What of the sharing matters to a placement. */
function keyOf(sharing: Sharing): string {
  switch (sharing.type) {
    case 'whole':
      return 'whole'
    case 'mig':
      return `mig ${sharing.geometry} ${sharing.instances?.map(({ profile, start }) => `${profile}@${start}`).join() ?? 'free'}`
    case 'mdev':
      return `mdev ${sharing.profile} ${sharing.count}`
    case 'sriov':
      return `sriov ${sharing.functions.length}`
    case 'timeslice':
      return `timeslice ${sharing.replicas}`
    case 'fpga':
      return `fpga ${sharing.accelerators?.length ?? 1}`
  }
}

function partsOf({ vendor, sharing }: Pick<Card, 'vendor' | 'sharing'>): {
  parts: number
  placements: Placement[]
} {
  switch (sharing.type) {
    case 'whole':
      return slots(`${vendor}/gpu`, 1)
    case 'mig':
      return migParts(vendor, sharing.geometry, sharing.instances)
    case 'mdev':
      return slots(`${vendor}/${sharing.profile.replaceAll(/[^\w.-]+/g, '_')}`, sharing.count)
    case 'sriov':
      return slots(`${vendor}/gpu-vf`, sharing.functions.length)
    case 'timeslice':
      return slots(`${vendor}/gpu.shared`, sharing.replicas)
    case 'fpga':
      return slots(`${vendor}/fpga`, sharing.accelerators?.length ?? 1)
  }
}

const slots = (resource: string, count: number) => ({
  parts: count,
  placements: Array.from({ length: count }, (_, start) => ({
    resource,
    start,
    size: 1,
    mask: 1 << start,
    share: 1 / count,
    weight: 1
  }))
})

function migParts(
  vendor: string,
  name: string,
  instances?: readonly { readonly profile: string; readonly start: number }[]
): { parts: number; placements: Placement[] } {
  const geometry = migGeometries.get(name)
  if (!geometry) throw new RangeError(`there is no MIG geometry ${name}`)
  const there = new Set(instances?.map(({ profile, start }) => `${profile}@${start}`))
  return {
    parts: geometry.memorySlices,
    placements: migPlacements(geometry, vendor).filter(
      ({ profile, start }) => !instances || there.has(`${profile}@${start}`)
    )
  }
}

/** Every legal place of every profile. The media engines are one more bit above the memory slices. */
export function migPlacements(geometry: MigGeometry, vendor: string): Placement[] {
  const media = 1 << geometry.memorySlices
  return geometry.profiles.flatMap((profile) =>
    profile.starts.map((start) => ({
      resource: `${vendor}/${migResource(profile.name)}`,
      profile: profile.name,
      start,
      size: profile.size,
      mask: (((1 << profile.size) - 1) << start) | (profile.media ? media : 0),
      share: Math.max(profile.size / geometry.memorySlices, profile.compute / geometry.computeSlices),
      weight: profile.compute
    }))
  )
}

/** The names of what a card offers, such as `nvidia.com/mig-1g.10gb`. */
export const resourcesOf = (card: Pick<Card, 'vendor' | 'sharing'>): readonly string[] =>
  shapeOf(card).resources

export function bitCount(state: number): number {
  let count = 0
  for (let rest = state; rest !== 0; rest &= rest - 1) count++
  return count
}
