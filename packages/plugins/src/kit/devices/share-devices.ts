import type { Plan, PlannedContainer } from '../plan/plan.ts'
import type { BoundDevice } from './binding.ts'
import { deviceEnvironment } from './device-environment.ts'

/**
 * A plan whose containers have the devices that were given to their pod, each as many as it asks for: what runs
 * together has them apart, an init container those that another one has later, as with a kubelet (KEP-753).
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
      const own = taken.get(container) ?? pick(devices, container)
      if (own.length === 0) return container
      const variables = Object.entries(deviceEnvironment(own)).map(([name, value]) => ({ name, value }))
      return {
        ...container,
        devices: own.map(({ resource, paths }) => ({ resource, paths })),
        env: [...container.env, ...variables]
      }
    })
  }
}

const pick = (devices: readonly BoundDevice[], { limits }: PlannedContainer): BoundDevice[] =>
  Object.entries(limits.extended ?? {}).flatMap(([resource, count]) =>
    devices.filter((device) => device.resource === resource).slice(0, count)
  )
