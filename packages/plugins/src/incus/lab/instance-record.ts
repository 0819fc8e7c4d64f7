/** Instances as Incus lists them, and as a person wants to see them. Pure. */
import { Type, type Static } from 'typebox'

const Strings = Type.Record(Type.String(), Type.String())
export const Devices = Type.Record(Type.String(), Strings)
export type Devices = Static<typeof Devices>

const State = Type.Object({
  network: Type.Optional(
    Type.Union([
      Type.Null(),
      Type.Record(
        Type.String(),
        Type.Object({
          addresses: Type.Union([
            Type.Null(),
            Type.Array(Type.Object({ family: Type.String(), address: Type.String(), scope: Type.String() }))
          ])
        })
      )
    ])
  )
})

/** Of `/1.0/instances?recursion=1`, or 2, which adds `state`. */
export const InstanceRecord = Type.Object({
  name: Type.String(),
  project: Type.String(),
  type: Type.String(),
  status: Type.String(),
  profiles: Type.Array(Type.String()),
  config: Strings,
  devices: Devices,
  expanded_config: Strings,
  expanded_devices: Devices,
  state: Type.Optional(Type.Union([Type.Null(), State]))
})
export type InstanceRecord = Static<typeof InstanceRecord>

export type InstanceType = 'container' | 'virtual-machine'

export interface LabInstance {
  readonly remote: string
  readonly project: string
  readonly name: string
  readonly type: InstanceType
  /** `Running`, `Stopped`, … */
  readonly status: string
  /** What it was made of, in the words of the image. */
  readonly image: string
  readonly profiles: readonly string[]
  /** Asked of the instance, where it runs and a full list was wished; else those that it was given. */
  readonly addresses: readonly string[]
  /** PCI addresses of its graphics cards; `any` where none is named. */
  readonly gpus: readonly string[]
}

export const describeInstance = (remote: string, record: InstanceRecord): LabInstance => ({
  remote,
  project: record.project,
  name: record.name,
  type: record.type as InstanceType,
  status: record.status,
  image: record.config['image.description'] ?? record.config['image.os'] ?? '',
  profiles: record.profiles,
  addresses: liveAddresses(record) ?? [],
  gpus: Object.values(record.expanded_devices)
    .filter(({ type }) => type === 'gpu')
    .map(({ pci }) => pci ?? 'any')
})

/** Addresses that others reach, IPv4 first; undefined where the instance was not asked. */
function liveAddresses({ state }: InstanceRecord): string[] | undefined {
  if (!state?.network) return undefined
  const all = Object.values(state.network)
    .flatMap(({ addresses }) => addresses ?? [])
    .filter(({ scope }) => scope === 'global')
  return ['inet', 'inet6'].flatMap((family) =>
    all.filter((one) => one.family === family).map(({ address }) => address)
  )
}

export const isRunning = ({ status }: Pick<InstanceRecord, 'status'>): boolean => status !== 'Stopped'

/** `remote:project.name`, by which it is named everywhere. */
export const fullName = ({
  remote,
  project,
  name
}: {
  readonly remote: string
  readonly project: string
  readonly name: string
}): string => `${remote}:${project}.${name}`
