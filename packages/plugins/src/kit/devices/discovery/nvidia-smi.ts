import type { Card, MigInstance } from '../card.ts'
import { geometryOf, migGeometries, type MigGeometry } from '../mig-geometry.ts'
import { childrenOf, parseXml, textAt, type XmlElement } from './xml.ts'

/** What the commands print; nvidia-smi(1). Only the first is needed. */
export interface NvidiaSmiOutput {
  /** `nvidia-smi -q -x` */
  readonly query: string
  /** `nvidia-smi -L`: the UUIDs of MIG devices, which the query does not have. */
  readonly list?: string
  /** `nvidia-smi mig -lgi`: where GPU instances lie. */
  readonly instances?: string
  /** `nvidia-smi mig -lgip` */
  readonly profiles?: string
  /** `nvidia-smi mig -lgipp` */
  readonly placements?: string
}

export interface FoundCards {
  readonly cards: readonly Card[]
  /** What was seen and could not be used, in words. */
  readonly notices: readonly string[]
}

/**
 * The NVIDIA cards of a host. Where MIG is on, the instances that are there are kept; where it is off and the card
 * knows it, the card is whole and says how it could be cut.
 * @throws SyntaxError where the query is no XML
 */
export function nvidiaCards(output: NvidiaSmiOutput, host: string): FoundCards {
  const notices: string[] = []
  const gpus = childrenOf(parseXml(output.query), 'gpu')
  const listed = migUuids(output.list ?? '')
  const instances = parseGpuInstances(output.instances ?? '')
  const cards = gpus.map((gpu, index): Card => {
    const model = textAt(gpu, 'product_name') ?? 'NVIDIA GPU'
    const uuid = textAt(gpu, 'uuid')
    const pci = pciAddress(gpu.attributes.id ?? textAt(gpu, 'pci', 'pci_bus_id') ?? '')
    const memoryMiB = mebibytes(textAt(gpu, 'fb_memory_usage', 'total'))
    const minor = textAt(gpu, 'minor_number')
    const about = {
      model,
      deviceId: textAt(gpu, 'pci', 'pci_device_id')?.replace(/^0x/i, '').slice(0, 4) ?? '',
      ...(memoryMiB === undefined ? {} : { memoryMiB })
    }
    const mode = textAt(gpu, 'mig_mode', 'current_mig')
    const geometry = mode === undefined ? undefined : geometryFor(about, output, index, notices)
    const enabled = mode === 'Enabled'
    if (enabled && !geometry)
      notices.push(
        `${uuid ?? pci}: MIG is on, and the geometry of ${model} is not known; give it in the inventory`
      )
    const cut = enabled ? instancesOf(gpu, index, instances, listed, uuid) : []
    const uncut = geometry && !enabled ? { geometry: geometry.name } : {}
    return {
      id: uuid ?? `${host}/${pci}`,
      host,
      vendor: 'nvidia.com',
      model,
      ...(pci === undefined ? {} : { pci }),
      ...(uuid === undefined ? {} : { uuid }),
      ...(memoryMiB === undefined ? {} : { memoryMiB }),
      ...serialOf(gpu),
      labels: {},
      paths: [
        ...(minor === undefined ? [] : [`/dev/nvidia${minor}`]),
        '/dev/nvidiactl',
        '/dev/nvidia-uvm',
        '/dev/nvidia-uvm-tools'
      ],
      sharing: enabled && geometry ? migSharing(geometry, cut) : { type: 'whole', ...uncut }
    }
  })
  const usable = cards.filter((card, index) => {
    const enabled = textAt(gpus[index]!, 'mig_mode', 'current_mig') === 'Enabled'
    return !enabled || card.sharing.type === 'mig'
  })
  return { cards: usable, notices }
}

/** What is cut stays; a card of which nothing is cut is cut as it is asked for. */
const migSharing = ({ name: geometry }: MigGeometry, instances: MigInstance[]): Card['sharing'] => ({
  type: 'mig',
  geometry,
  ...(instances.length > 0 ? { instances } : {})
})

/** What the card itself says goes before the tables. */
function geometryFor(
  about: Parameters<typeof geometryOf>[0],
  { profiles = '', placements = '' }: NvidiaSmiOutput,
  index: number,
  notices: string[]
): MigGeometry | undefined {
  const said = parseProfiles(profiles, placements).get(index)
  if (!said) return geometryOf(about)
  const same = [...migGeometries.values()].find((geometry) => {
    const known = new Map(geometry.profiles.map((profile) => [profile.name, profile]))
    return said.every(({ name, id, size, starts }) => {
      const profile = known.get(name)
      return profile?.id === id && profile.size === size && profile.starts.join() === starts.join()
    })
  })
  if (!same)
    notices.push(
      `GPU ${index}: its MIG profiles are none that are known (${said.map(({ name }) => name).join(', ')})`
    )
  return same
}

export interface SaidProfile {
  readonly name: string
  readonly id: number
  readonly size: number
  readonly starts: readonly number[]
}

/** `nvidia-smi mig -lgip` and `-lgipp` together, by GPU. Profiles without places are left out. */
export function parseProfiles(profiles: string, placements: string): Map<number, SaidProfile[]> {
  const places = new Map<string, { size: number; starts: number[] }>()
  for (const [, gpu, id, starts, size] of placements.matchAll(
    /^GPU\s+(\d+)\s+Profile ID\s+(\d+)\s+Placements?\s*:\s*\{([\d,\s]*)\}:(\d+)/gm
  ))
    places.set(`${gpu} ${id}`, { size: Number(size), starts: starts!.split(',').map(Number) })
  const said = new Map<number, SaidProfile[]>()
  for (const [, gpu, name, id] of profiles.matchAll(/^\|\s+(\d+)\s+MIG\s+(\S+)\s+(\d+)\s+\d+\/\d+\s/gm)) {
    const place = places.get(`${gpu} ${id}`)
    if (place)
      said.set(Number(gpu), [...(said.get(Number(gpu)) ?? []), { name: name!, id: Number(id), ...place }])
  }
  return said
}

export interface GpuInstance {
  readonly gpu: number
  readonly profile: string
  readonly id: number
  readonly start: number
  readonly size: number
}

/** `nvidia-smi mig -lgi`. */
export const parseGpuInstances = (text: string): GpuInstance[] =>
  [...text.matchAll(/^\|\s+(\d+)\s+MIG\s+(\S+)\s+\d+\s+(\d+)\s+(\d+):(\d+)\s/gm)].map(
    ([, gpu, profile, id, start, size]) => ({
      gpu: Number(gpu),
      profile: profile!,
      id: Number(id),
      start: Number(start),
      size: Number(size)
    })
  )

/** `nvidia-smi -L`: UUIDs of MIG devices by the UUID of their GPU, in the order of their device numbers. */
function migUuids(text: string): Map<string, Map<string, string>> {
  const found = new Map<string, Map<string, string>>()
  let devices = new Map<string, string>()
  for (const [, gpu, device, mig] of text.matchAll(
    /^GPU \d+:.*\(UUID: (GPU-[\w-]+)\)|^\s+MIG \S+\s+Device\s+(\d+): \(UUID: (MIG-[^)]+)\)/gm
  ))
    if (gpu !== undefined) found.set(gpu, (devices = new Map()))
    else devices.set(device!, mig!)
  return found
}

function instancesOf(
  gpu: XmlElement,
  index: number,
  instances: readonly GpuInstance[],
  listed: ReadonlyMap<string, ReadonlyMap<string, string>>,
  uuid: string | undefined
): MigInstance[] {
  const devices = childrenOf(gpu, 'mig_devices', 'mig_device').map((device) => ({
    number: textAt(device, 'index') ?? '',
    instance: Number(textAt(device, 'gpu_instance_id'))
  }))
  return instances
    .filter((instance) => instance.gpu === index)
    .sort((a, b) => a.start - b.start)
    .map(({ profile, start, id }) => {
      const number = devices.find(({ instance }) => instance === id)?.number
      const mig = number === undefined ? undefined : listed.get(uuid ?? '')?.get(number)
      return { profile, start, ...(mig === undefined ? {} : { uuid: mig }) }
    })
}

const serialOf = (gpu: XmlElement) => {
  const serial = textAt(gpu, 'serial')
  return serial === undefined ? {} : { serial }
}

const mebibytes = (text: string | undefined): number | undefined => {
  const found = /^(\d+) MiB$/.exec(text ?? '')
  return found ? Number(found[1]) : undefined
}

/** nvidia-smi writes a domain of eight digits, the kernel one of four. */
export function pciAddress(text: string): string | undefined {
  const found = /^(?:[0-9a-f]{4})?([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$/i.exec(text.trim())
  return found?.[1]!.toLowerCase()
}
