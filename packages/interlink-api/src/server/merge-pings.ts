import type { PingResult } from '../client/client.ts'
import { streamKinds, type PingResponse, type Taint } from '../wire/messages.ts'
import { addQuantities } from '../wire/quantity.ts'

/**
 * One answer for the plugins of one node: resources are added up, taints are united, a capability counts only where
 * all have it, but for streams and additions, which are asked of the plugin that has the pod, and usage and devices,
 * which those tell that have them.
 */
export function mergePings(pings: readonly PingResult[]): PingResponse {
  const answers = pings.map(({ parsed }) => parsed ?? {})
  const resources = answers.flatMap((answer) => answer.resources ?? [])
  const taints = answers.flatMap((answer) => (answer.taints ? [answer.taints] : []))
  const backends = answers.flatMap(({ backend }) => backend ?? [])
  const queues = answers.flatMap((answer) => answer.queues ?? [])
  const streams = new Set(answers.flatMap(({ streams }) => streams ?? []))
  const away = answers.filter(({ backend, status = 'ok' }) => backend !== undefined && status !== 'ok')
  return {
    status: away.map(({ status }) => status).join('; ') || 'ok',
    ...(resources.length > 0 ? { resources: addResources(resources) } : {}),
    ...(taints.length > 0 ? { taints: unite(taints.flat()) } : {}),
    ...(queues.length > 0 ? { queues } : {}),
    ...(streams.size > 0 ? { streams: [...streams].join(', ') } : {}),
    ...(backends.length > 0 ? { backend: backends.join(',') } : {}),
    capabilities: [...new Set(pings.flatMap(({ capabilities }) => [...capabilities]))].filter(
      (name) => isOfEach(name) || pings.every(({ capabilities }) => capabilities.has(name))
    )
  }
}

const isOfEach = (name: string) =>
  ['devices', 'ephemeral', 'usage'].includes(name) || (streamKinds as readonly string[]).includes(name)

type Resources = NonNullable<PingResponse['resources']>

const defined = <T extends object>(fields: T): T =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T

function addResources(all: readonly Resources[]): Resources {
  const sum = (values: readonly (string | undefined)[]) =>
    addQuantities(values.filter((value) => value !== undefined))
  const accelerators = all.flatMap((one) => one.accelerators ?? [])
  const types = [...new Set(accelerators.map(({ resourceType }) => resourceType))]
  const free = all.flatMap((one) => one.free ?? [])
  return defined<Resources>({
    cpu: sum(all.map(({ cpu }) => cpu)),
    memory: sum(all.map(({ memory }) => memory)),
    pods: sum(all.map(({ pods }) => pods)),
    ephemeralStorage: sum(all.map(({ ephemeralStorage }) => ephemeralStorage)),
    accelerators:
      types.length === 0
        ? undefined
        : types.map((resourceType) => {
            const same = accelerators.filter((one) => one.resourceType === resourceType)
            const models = [...new Set(same.flatMap((one) => one.models ?? []))]
            return defined({
              resourceType,
              available: sum(same.map(({ available }) => available)) ?? '0',
              free: sum(same.map((one) => one.free)),
              models: models.length > 0 ? models : undefined
            })
          }),
    free:
      free.length === 0
        ? undefined
        : defined({ cpu: sum(free.map(({ cpu }) => cpu)), memory: sum(free.map(({ memory }) => memory)) })
  })
}

const unite = (taints: readonly Taint[]): Taint[] => [
  ...new Map(taints.map((taint) => [`${taint.key}=${taint.value ?? ''}:${taint.effect}`, taint])).values()
]
