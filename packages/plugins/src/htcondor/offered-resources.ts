import type { PingResponse } from '@interlink-ts/interlink-api/wire'
import { defaultExtended, type ResourceOptions } from './resources.ts'
import type { SlotFacts } from './slot-facts.ts'

type Offered = Pick<PingResponse, 'resources'>

/** What the slots have in all, as jobs wait in the queue for what is busy; `free` is what does not wait. */
export function offeredResources(slots: readonly SlotFacts[], { extended }: ResourceOptions): Offered {
  // In doubt nothing is said, rather than zero.
  if (slots.length === 0) return {}
  const total = (of: (slot: SlotFacts) => number) => slots.reduce((sum, slot) => sum + of(slot), 0)
  const accelerators = acceleratorsOf(slots, extended)
  return {
    resources: {
      cpu: String(total(({ cpus }) => cpus)),
      memory: `${total(({ memoryMiB }) => memoryMiB)}Mi`,
      ...(accelerators.length > 0 ? { accelerators } : {}),
      free: {
        cpu: String(total(({ freeCpus }) => freeCpus)),
        memory: `${total(({ freeMemoryMiB }) => freeMemoryMiB)}Mi`
      }
    }
  }
}

function acceleratorsOf(slots: readonly SlotFacts[], extended: ResourceOptions['extended']) {
  const totals = new Map<string, { available: number; free: number; models: Set<string> }>()
  for (const slot of slots)
    for (const [name, count] of Object.entries(slot.extended)) {
      const resource = resourceOf(name, slot.gpuModels, extended)
      if (resource === undefined || count === 0) continue
      const sum = totals.get(resource) ?? { available: 0, free: 0, models: new Set<string>() }
      sum.available += count
      sum.free += slot.freeExtended[name] ?? 0
      if (name === 'gpus') for (const model of slot.gpuModels) sum.models.add(model)
      totals.set(resource, sum)
    }
  return [...totals]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([resourceType, { available, free, models }]) => ({
      resourceType,
      available: String(available),
      free: String(free),
      ...(models.size > 0 ? { models: [...models].sort() } : {})
    }))
}

/** The map of {@link ResourceOptions} backwards: the site's own names first; of GPUs the model tells the make. */
function resourceOf(
  name: string,
  models: readonly string[],
  extended: ResourceOptions['extended']
): string | undefined {
  for (const [resource, target] of Object.entries(extended)) {
    if (target.toLowerCase() === name) return resource
    if (target.endsWith('*') && name.startsWith(target.slice(0, -1).toLowerCase()))
      return resource.replace(/\*$/, name.slice(target.length - 1))
  }
  const usual = Object.entries(defaultExtended).filter(
    ([resource, target]) => target === name && !Object.hasOwn(extended, resource)
  )
  const isAmd = models.some((model) => /\b(amd|instinct|radeon|mi\d{2,3})/i.test(model))
  return (usual.find(([resource]) => resource.startsWith('amd.com/') === isAmd) ?? usual[0])?.[0]
}
