import type { Plan, PlannedContainer, PlannedDevice } from '../plan/plan.ts'
import type { BoundDevice } from './binding.ts'
import { deviceEnvironment, deviceVariables } from './device-environment.ts'

/**
 * A plan whose containers have the devices that were given to their pod, each as many as it asks for: what runs
 * together has them apart, an init container those that another one has later, as with a kubelet (KEP-753). Those of
 * resource claims go to each container that names the claim. What an earlier start was given is forgotten.
 */
export function shareDevices(plan: Plan, devices: readonly BoundDevice[]): Plan {
  const left = [...devices]
  const taken = new Map<PlannedContainer, readonly BoundDevice[]>()
  for (const container of plan.containers.filter(({ kind }) => kind !== 'init')) {
    const own = pick(left, container)
    for (const device of own) left.splice(left.indexOf(device), 1)
    taken.set(container, own)
  }
  return {
    ...plan,
    containers: plan.containers.map((container) => {
      const own = plan.claimed
        ? claimed(devices, container)
        : (taken.get(container) ?? pick(devices, container))
      if (own.length === 0) return container
      const variables = Object.entries(deviceEnvironment(own)).map(([name, value]) => ({ name, value }))
      return {
        ...container,
        devices: own.map(planned),
        env: [...withoutOlder(container), ...variables]
      }
    })
  }
}

const claimed = (devices: readonly BoundDevice[], container: PlannedContainer): BoundDevice[] =>
  devices.filter(({ name }) => container.claimed?.includes(name))

const pick = (devices: readonly BoundDevice[], { limits }: PlannedContainer): BoundDevice[] =>
  Object.entries(limits.extended ?? {}).flatMap(([resource, count]) =>
    devices.filter((device) => device.resource === resource).slice(0, count)
  )

const planned = (device: BoundDevice): PlannedDevice => {
  const { resource, paths, card, host, sharing, start, pci, uuid, mdevType } = device
  const named = {
    ...(pci === undefined ? {} : { pci }),
    ...(uuid === undefined ? {} : { uuid }),
    ...(mdevType === undefined ? {} : { mdevType })
  }
  return { resource, paths, card, host, sharing, start, ...named }
}

const withoutOlder = ({ devices, env }: PlannedContainer): PlannedContainer['env'] =>
  devices === undefined ? env : env.filter(({ name }) => !deviceVariables.has(name))
