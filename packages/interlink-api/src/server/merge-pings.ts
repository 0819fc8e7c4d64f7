import type { PingResult } from '../client/client.ts'
import type { PingResponse, Taint } from '../wire/messages.ts'
import { addQuantities } from '../wire/quantity.ts'

/**
 * One answer for the plugins of one node: resources are added up, a capability counts only where all have it,
 * taints are united.
 */
export function mergePings(pings: readonly PingResult[]): PingResponse {
  const answers = pings.map(({ parsed }) => parsed ?? {})
  const resources = answers.flatMap((answer) => answer.resources ?? [])
  const taints = answers.flatMap((answer) => (answer.taints ? [answer.taints] : []))
  const backends = answers.flatMap(({ backend }) => backend ?? [])
  const [first, ...rest] = pings
  return {
    status: 'ok',
    ...(resources.length > 0 ? { resources: addResources(resources) } : {}),
    ...(taints.length > 0 ? { taints: unite(taints.flat()) } : {}),
    ...(backends.length > 0 ? { backend: backends.join(',') } : {}),
    capabilities: [...(first?.capabilities ?? [])].filter((name) =>
      rest.every(({ capabilities }) => capabilities.has(name))
    )
  }
}

type Resources = NonNullable<PingResponse['resources']>

function addResources(all: readonly Resources[]): Resources {
  const sum = (values: readonly (string | undefined)[]) =>
    addQuantities(values.filter((value) => value !== undefined))
  const accelerators = new Map<string, string[]>()
  for (const { resourceType, available } of all.flatMap((one) => one.accelerators ?? []))
    accelerators.set(resourceType, [...(accelerators.get(resourceType) ?? []), available])
  const total: Resources = {
    cpu: sum(all.map(({ cpu }) => cpu)),
    memory: sum(all.map(({ memory }) => memory)),
    pods: sum(all.map(({ pods }) => pods))
  }
  return {
    ...Object.fromEntries(Object.entries(total).filter(([, value]) => value !== undefined)),
    ...(accelerators.size > 0
      ? {
          accelerators: [...accelerators].map(([resourceType, values]) => ({
            resourceType,
            available: sum(values) ?? '0'
          }))
        }
      : {})
  }
}

const unite = (taints: readonly Taint[]): Taint[] => [
  ...new Map(taints.map((taint) => [`${taint.key}=${taint.value ?? ''}:${taint.effect}`, taint])).values()
]
