/**
 * The cards as devices of resource.k8s.io/v1 (Kubernetes 1.34 and later). Slices of one card are partitionable devices
 * (KEP-4815): each takes from the counters of its card, so that the scheduler knows which exclude each other.
 */
import type { DeviceOffer } from '@interlink-ts/interlink-api/wire'
import type { Card } from './card.ts'
import type { CardPool } from './card-pool.ts'
import { modelLabel } from './device-request.ts'
import { cardLabel, deviceName, placementsOf } from './device-names.ts'
import { migGeometries } from './mig-geometry.ts'
import { shapeOf, type Placement, type Shape } from './shape.ts'

type OfferedDevice = DeviceOffer['devices'][number]
type CounterSet = NonNullable<DeviceOffer['sharedCounters']>[number]
type Quantities = CounterSet['counters']
type Attribute = { string: string } | { int: number } | { bool: boolean } | { version: string }

/** Every device that could be given; what is taken is not left out, as the scheduler keeps its own account. */
export function deviceOffer(pool: CardPool): DeviceOffer {
  const cards = [...pool.cards()].filter(({ open }) => open).map(({ card }) => card)
  const sharedCounters = cards.flatMap((card) => countersOf(card) ?? [])
  return {
    devices: cards.flatMap(devicesOf),
    ...(sharedCounters.length > 0 ? { sharedCounters } : {})
  }
}

/** What the parts of a card share: each memory slice, so that overlapping places exclude each other, and engines. */
function countersOf(card: Card): CounterSet | undefined {
  const shape = shapeOf(card)
  if (!isShared(shape)) return undefined
  const bits = placementsOf(shape).reduce((all, { mask }) => all | mask, 0)
  return { name: cardLabel(card), counters: countersIn(shape, bits) }
}

/** Places that overlap need counters; those that lie side by side are devices of their own. */
const isShared = (shape: Shape): boolean => {
  const all = placementsOf(shape)
  return all.some(({ mask }, at) => all.some((other, index) => at < index && (mask & other.mask) !== 0))
}

function countersIn({ parts }: Shape, mask: number): Quantities {
  const counters: Quantities = {}
  for (let bit = 0; bit < 31; bit++)
    if ((mask >> bit) & 1) counters[bit < parts ? `memory-slice-${bit}` : 'media-engines'] = { value: '1' }
  return counters
}

function devicesOf(card: Card): OfferedDevice[] {
  const shape = shapeOf(card)
  const shared = isShared(shape)
  return placementsOf(shape).map((placement) => ({
    name: deviceName(card, placement),
    attributes: attributesOf(card, placement),
    ...capacityOf(card, placement, shape),
    ...(shared
      ? { consumesCounters: [{ counterSet: cardLabel(card), counters: countersIn(shape, placement.mask) }] }
      : {})
  }))
}

function attributesOf(card: Card, { resource, profile, start }: Placement): Record<string, Attribute> {
  const { sharing } = card
  return {
    type: { string: sharing.type },
    model: { string: card.model.slice(0, 64) },
    product: { string: modelLabel(card.model) },
    vendor: { string: card.vendor.slice(0, 64) },
    host: { string: card.host.slice(0, 64) },
    resource: { string: resource.slice(0, 64) },
    index: { int: start },
    ...(card.pci === undefined ? {} : { 'resource.kubernetes.io/pciBusID': { string: card.pci } }),
    ...(card.numa === undefined ? {} : { numa: { int: card.numa } }),
    ...(card.uuid === undefined ? {} : { uuid: { string: card.uuid.slice(0, 64) } }),
    ...(card.owner === undefined ? {} : { owner: { string: card.owner.slice(0, 64) } }),
    ...(profile === undefined ? {} : { profile: { string: profile.slice(0, 64) } }),
    ...(sharing.type === 'fpga' ? { shell: { string: sharing.shell.slice(0, 64) } } : {})
  }
}

function capacityOf(card: Card, placement: Placement, shape: Shape): { capacity?: Quantities } {
  const { sharing, memoryMiB } = card
  const geometry = sharing.type === 'mig' ? migGeometries.get(sharing.geometry) : undefined
  const own = sharing.type === 'timeslice' ? sharing.memoryMiB : undefined
  const memory =
    own ?? (memoryMiB === undefined ? undefined : Math.floor((memoryMiB * placement.size) / shape.parts))
  const capacity: Quantities = {
    ...(memory === undefined ? {} : { memory: { value: `${memory}Mi` } }),
    ...(geometry ? { computeSlices: { value: String(placement.weight) } } : {})
  }
  return Object.keys(capacity).length === 0 ? {} : { capacity }
}
