import type { Card } from '../kit/devices/card.ts'
import { DeviceMissing } from '../kit/devices/device-missing.ts'
import { containerPaths } from '../kit/plan/context.ts'
import type { Plan, PlannedDevice, Refusal } from '../kit/plan/plan.ts'
import { IncusError } from './rest/index.ts'

type Options = Readonly<Record<string, string>>

/**
 * Devices of an instance for those that a pod was given, and what of the instance's configuration goes with them; Incus'
 * "Type: gpu", "Type: unix-char" and "Type: pci". Each names its card by address, so that Incus chooses nothing. Pure.
 */
export function instanceDevices(
  plan: Plan,
  { nvidiaRuntime }: { readonly nvidiaRuntime: boolean }
): { readonly devices: Readonly<Record<string, Options>>; readonly config: Options } {
  const unique = lentTo(plan)
  const needsRuntime = unique.some(
    ({ resource, sharing, pci }) =>
      resource.startsWith('nvidia.com/') && pci !== undefined && (nvidiaRuntime || sharing === 'mig')
  )
  // Two parts of one card may be the same to Incus.
  const named = new Map<string, readonly [string, Options]>()
  unique.forEach((device, index) =>
    ofContainer(device).forEach((options, at) => {
      const key = JSON.stringify(options)
      if (!named.has(key)) named.set(key, [`lent-${index}-${at}`, options])
    })
  )
  return {
    devices: Object.fromEntries(named.values()),
    config: needsRuntime ? { 'nvidia.runtime': 'true' } : {}
  }
}

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

/** What a container cannot have: functions and vGPUs are for virtual machines, and an FPGA is its nodes. */
export function refuseDevices(plan: Plan): Refusal[] {
  const isFor = ({ sharing, paths }: PlannedDevice) =>
    sharing === 'mdev' || sharing === 'sriov' || (sharing === 'fpga' && paths.length === 0)
  return containerPaths(plan.containers).flatMap((field, index) =>
    (plan.containers[index]!.devices ?? []).filter(isFor).map(({ card, sharing }) => ({
      field: `${field}.resources.limits`,
      message: `${card} (${sharing}) can be given to a virtual machine only; a container needs \`paths\` of an FPGA, or a card that is whole or cut by MIG`
    }))
  )
}

/** Init containers have what others have after them. */
function lentTo({ containers }: Plan): PlannedDevice[] {
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

/** Nodes that Incus gives by itself with a `gpu`. */
const ofGpu = /^\/dev\/(dri\/|nvidia)/

function ofContainer({ sharing, pci, uuid, paths }: PlannedDevice): Options[] {
  if (sharing === 'fpga' || pci === undefined) return paths.map(node)
  const gpu: Options =
    sharing === 'mig'
      ? { type: 'gpu', gputype: 'mig', pci, 'mig.uuid': uuid! }
      : { type: 'gpu', gputype: 'physical', pci }
  return [gpu, ...paths.filter((path) => !ofGpu.test(path)).map(node)]
}

/** Access is by being given it; who runs in the instance is nobody outside. */
const node = (path: string): Options => ({ type: 'unix-char', source: path, path, mode: '0666' })
