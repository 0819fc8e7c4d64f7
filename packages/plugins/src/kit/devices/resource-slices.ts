/**
 * The cards as objects of resource.k8s.io/v1 (Kubernetes 1.34 and later). Slices of one card are partitionable devices
 * (KEP-4815): each takes from the counters of its card, so that the scheduler knows which exclude each other.
 */
import type { Card } from './card.ts'
import type { CardPool } from './card-pool.ts'
import { modelLabel } from './device-request.ts'
import { migGeometries } from './mig-geometry.ts'
import { shapeOf, type Placement, type Shape } from './shape.ts'

type Attribute = { string: string } | { int: number } | { bool: boolean } | { version: string }
type Quantities = Record<string, { value: string }>

export interface DraDevice {
  readonly name: string
  readonly attributes: Readonly<Record<string, Attribute>>
  readonly capacity?: Quantities
  readonly consumesCounters?: readonly { readonly counterSet: string; readonly counters: Quantities }[]
}

export interface CounterSet {
  readonly name: string
  readonly counters: Quantities
}

export interface ResourceSlice {
  readonly apiVersion: 'resource.k8s.io/v1'
  readonly kind: 'ResourceSlice'
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly driver: string
    readonly nodeName: string
    readonly pool: { readonly name: string; readonly generation: number; readonly resourceSliceCount: number }
    /** A slice has one of the two. */
    readonly sharedCounters?: readonly CounterSet[]
    readonly devices?: readonly DraDevice[]
  }
}

export interface SliceOptions {
  readonly nodeName: string
  /** @default devices.interlink.io */
  readonly driver?: string
  /** Grows with every change of the pool. */
  readonly generation: number
}

/** Limits of the API: devices in a slice whose devices take counters, and counter sets in a slice. */
const maxDevices = 64
const maxCounterSets = 8

/** Every device that could be given; what is taken is not left out, as the scheduler keeps its own account. */
export function resourceSlices(
  pool: CardPool,
  { nodeName, driver = 'devices.interlink.io', generation }: SliceOptions
): ResourceSlice[] {
  const cards = [...pool.cards()].filter(({ open }) => open).map(({ card }) => card)
  const counterSets = cards.flatMap((card) => countersOf(card) ?? [])
  const parts = [
    ...chunks(counterSets, maxCounterSets).map((sharedCounters) => ({ sharedCounters })),
    ...chunks(cards.flatMap(devicesOf), maxDevices).map((devices) => ({ devices }))
  ]
  return parts.map((part, index) => ({
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceSlice',
    metadata: { name: `${nodeName}-${driver}-${index}` },
    spec: {
      driver,
      nodeName,
      pool: { name: nodeName, generation, resourceSliceCount: parts.length },
      ...part
    }
  }))
}

/** What the parts of a card share: each memory slice, so that overlapping places exclude each other, and engines. */
function countersOf(card: Card): CounterSet | undefined {
  const shape = shapeOf(card)
  if (!isShared(shape)) return undefined
  const bits = [...shape.placements.values()].flat().reduce((all, { mask }) => all | mask, 0)
  return { name: nameOf(card), counters: countersIn(shape, bits) }
}

/** Places that overlap need counters; those that lie side by side are devices of their own. */
const isShared = ({ placements }: Shape): boolean => {
  const all = [...placements.values()].flat()
  return all.some(({ mask }, at) => all.some((other, index) => at < index && (mask & other.mask) !== 0))
}

function countersIn({ parts }: Shape, mask: number): Quantities {
  const counters: Quantities = {}
  for (let bit = 0; bit < 31; bit++)
    if ((mask >> bit) & 1) counters[bit < parts ? `memory-slice-${bit}` : 'media-engines'] = { value: '1' }
  return counters
}

function devicesOf(card: Card): DraDevice[] {
  const shape = shapeOf(card)
  const shared = isShared(shape)
  return [...shape.placements.values()].flat().map((placement) => ({
    name: shape.parts === 1 ? nameOf(card) : `${nameOf(card)}-${partName(placement)}`,
    attributes: attributesOf(card, placement),
    ...capacityOf(card, placement, shape),
    ...(shared
      ? { consumesCounters: [{ counterSet: nameOf(card), counters: countersIn(shape, placement.mask) }] }
      : {})
  }))
}

const partName = ({ profile, start }: Placement): string =>
  profile === undefined ? String(start) : `${dnsLabel(profile)}-${start}`

function attributesOf(card: Card, { resource, profile, start }: Placement): Record<string, Attribute> {
  const { sharing } = card
  return {
    type: { string: sharing.type },
    model: { string: card.model.slice(0, 64) },
    product: { string: modelLabel(card.model) },
    vendor: { string: card.vendor },
    host: { string: card.host.slice(0, 64) },
    resource: { string: resource },
    index: { int: start },
    ...(card.pci === undefined ? {} : { 'resource.kubernetes.io/pciBusID': { string: card.pci } }),
    ...(card.numa === undefined ? {} : { numa: { int: card.numa } }),
    ...(card.uuid === undefined ? {} : { uuid: { string: card.uuid } }),
    ...(card.owner === undefined ? {} : { owner: { string: card.owner } }),
    ...(profile === undefined ? {} : { profile: { string: profile } }),
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

const nameOf = ({ id }: Card): string => dnsLabel(id)

const dnsLabel = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 48)

function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, at) =>
    all.slice(at * size, (at + 1) * size)
  )
}
