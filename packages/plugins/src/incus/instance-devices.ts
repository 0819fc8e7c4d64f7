import type { Card } from '../kit/devices/card.ts'
import { DeviceMissing } from '../kit/devices/device-missing.ts'
import { containerPaths } from '../kit/plan/context.ts'
import type { Plan, PlannedDevice, Refusal } from '../kit/plan/plan.ts'
import type { InstanceForm, Options } from './instance-form.ts'
import { IncusError } from './rest/index.ts'

/**
 * Devices of an instance for those that a pod was given; Incus' "Type: gpu", "Type: unix-char" and "Type: pci". Each
 * names its card by address, so that Incus chooses nothing. Pure.
 */
export function instanceDevices(plan: Plan, form: InstanceForm): Readonly<Record<string, Options>> {
  const named = new Map<string, readonly [string, Options]>()
  lentTo(plan).forEach((device, index) =>
    form.devices(device).forEach((options, at) => {
      // Two parts of one card may be the same to Incus, but each mediated device is made for itself.
      const key = device.sharing === 'mdev' ? `${index}` : JSON.stringify(options)
      if (!named.has(key)) named.set(key, [`lent-${index}-${at}`, options])
    })
  )
  return Object.fromEntries(named.values())
}

/** In the place of devices that are yet to be lent: by which claim the pod will have them. */
export const claimedDevices = ({ claimed = [], containers }: Plan): Readonly<Record<string, string>> =>
  containers.some(({ devices }) => devices)
    ? {}
    : Object.fromEntries(claimed.map((name, index) => [`lent-${index}-0`, name]))

const migUuid = /^MIG-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Why a card cannot be given to instances, and what to do. */
export function refuseCard({ sharing, pci, paths }: Card): string | undefined {
  const { type } = sharing
  const odd = type === 'mig' && sharing.instances?.find(({ uuid = '' }) => !migUuid.test(uuid))
  if (odd) return `Incus knows MIG devices by names such as MIG-<UUID>; ${odd.uuid} is none`
  if (type === 'mig' && pci === undefined)
    return 'Incus gives MIG devices by the PCI address of their card; add `pci` to the card'
  if (type !== 'sriov' && pci === undefined && paths.length === 0)
    return 'Incus is told nothing to give; add the `pci` of the card, or its nodes as `paths`'
  return undefined
}

/** What an instance of this form cannot have. */
export const refuseDevices = (plan: Plan, form: InstanceForm): Refusal[] =>
  containerPaths(plan.containers).flatMap((field, index) =>
    (plan.containers[index]!.devices ?? []).flatMap((device) => {
      const message = form.refuseDevice(device)
      return message === undefined ? [] : [{ field: `${field}.resources.limits`, message }]
    })
  )

/** Init containers have what others have after them. */
export function lentTo({ containers }: Plan): PlannedDevice[] {
  const given = containers.flatMap(({ devices = [] }) => devices)
  return [...new Map(given.map((device) => [`${device.card} ${device.start}`, device])).values()]
}

/** Where it was a lent device that an instance could not be started with. */
export function missingDevice(plan: Plan, error: unknown): DeviceMissing | undefined {
  if (!(error instanceof IncusError)) return undefined
  const [, index] = /device "lent-(\d+)-\d+"/.exec(error.message) ?? []
  const device = index === undefined ? undefined : lentTo(plan)[Number(index)]
  return device && new DeviceMissing(device.card, error.message)
}
