import type { Card, Sharing } from './card.ts'
import { deviceEnvironment } from './device-environment.ts'
import type { Holding, Lease } from './lease.ts'
import { deviceName } from './device-names.ts'
import { migGeometries } from './mig-geometry.ts'

/** A device as a backend hands it to an instance or a job. */
export interface BoundDevice {
  readonly card: string
  readonly host: string
  /** As resource claims name it. */
  readonly name: string
  readonly vendor: string
  readonly model: string
  readonly resource: string
  readonly sharing: Card['sharing']['type']
  /** Of the function that is handed over: a virtual function, the user function of an FPGA, else the card. */
  readonly pci?: string
  readonly numa?: number
  /** As CUDA names it. Absent while a MIG device has yet to be made. */
  readonly uuid?: string
  /** Nodes below /dev. */
  readonly paths: readonly string[]
  /** Which replica, memory slice, function or accelerator. */
  readonly start: number
  readonly profile?: string
  /** Of a mediated device: its folder in mdev_supported_types. */
  readonly mdevType?: string
  readonly accelerator?: string
  /** Of the server that a replica is used through. */
  readonly timeslice?: Extract<Sharing, { type: 'timeslice' }>
  /** Makes the device on its host, as argv; then {@link DeviceBroker.realised} is told its UUID. */
  readonly create?: readonly string[]
}

/** What a request was given. It stays the same until it is released. */
export interface Binding {
  readonly uid: string
  /** Goes with every word about this binding: a word about an earlier one is ignored, fencing token. */
  readonly token: number
  /** Epoch ms. */
  readonly until?: number
  readonly devices: readonly BoundDevice[]
  /** Union of the devices' paths. */
  readonly paths: readonly string[]
  /** What makes programs use these devices and no others. */
  readonly env: Readonly<Record<string, string>>
}

/** @param cardOf a card as it was when it was bound; undefined where it has been pulled out */
export function bindingOf(lease: Lease, cardOf: (id: string) => Card | undefined): Binding {
  const devices = lease.holdings.flatMap((holding) => {
    const card = cardOf(holding.card)
    return card ? [deviceOf(holding, card)] : []
  })
  return {
    uid: lease.request.uid,
    token: lease.token!,
    ...(lease.until === undefined ? {} : { until: lease.until }),
    devices,
    paths: [...new Set(devices.flatMap(({ paths }) => paths))],
    env: deviceEnvironment(devices)
  }
}

function deviceOf(holding: Holding, card: Card): BoundDevice {
  const { sharing, pci, numa } = card
  const { start, profile, resource } = holding
  const common = {
    card: card.id,
    host: card.host,
    name: deviceName(card, holding),
    vendor: card.vendor,
    model: card.model,
    resource,
    sharing: sharing.type,
    start,
    paths: card.paths,
    ...(pci === undefined ? {} : { pci }),
    ...(numa === undefined ? {} : { numa }),
    ...(profile === undefined ? {} : { profile })
  }
  switch (sharing.type) {
    case 'whole':
      return { ...common, ...uuidIs(card.uuid) }
    case 'timeslice':
      return { ...common, ...uuidIs(card.uuid), timeslice: sharing }
    case 'mdev':
      return { ...common, profile: sharing.profile, mdevType: sharing.typeId, ...uuidIs(holding.uuid) }
    case 'sriov':
      return { ...common, pci: sharing.functions[start]! }
    case 'fpga': {
      const accelerator = sharing.accelerators?.[start]
      return {
        ...common,
        ...(sharing.user === undefined ? {} : { pci: sharing.user }),
        paths: sharing.renderNode ? [sharing.renderNode] : card.paths,
        ...(accelerator === undefined ? {} : { accelerator })
      }
    }
    case 'mig': {
      const instance = sharing.instances?.find((one) => one.start === start && one.profile === profile)
      const made = instance?.uuid ?? holding.uuid
      const id = migGeometries.get(sharing.geometry)?.profiles.find(({ name }) => name === profile)?.id
      return {
        ...common,
        ...uuidIs(made),
        ...(made === undefined && !instance && id !== undefined
          ? {
              create: ['nvidia-smi', 'mig', '-i', pci ?? card.uuid ?? card.id, '-cgi', `${id}:${start}`, '-C']
            }
          : {})
      }
    }
  }
}

const uuidIs = (uuid: string | undefined) => (uuid === undefined ? {} : { uuid })
