import { Compile } from 'typebox/compile'
import { PluginError } from '../../errors.ts'
import type { Plan } from '../plan/plan.ts'
import type { CardGroup, CardPool } from './card-pool.ts'
import { partsByName } from './device-names.ts'
import { DeviceRequest, resourceList } from './lease.ts'
import type { Wish } from './place.ts'
import type { DevicePolicy, PolicyView } from './policy.ts'

const validator = Compile(DeviceRequest)

/** @throws PluginError `PLUGIN_DEVICES_INVALID` naming the field */
export function checkRequest(value: unknown): DeviceRequest {
  if (validator.Check(value)) return value
  const [error] = validator.Errors(value)
  const { instancePath = '', message = '' } = error ?? {}
  throw new PluginError('PLUGIN_DEVICES_INVALID', {
    field: instancePath.slice(1).replaceAll('/', '.') || 'request',
    reason: message
  })
}

/** The label `accelerator` of nodes has a model's name without what label values cannot have. */
export const modelLabel = (model: string): string =>
  model
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')

/**
 * What a pod asks of the broker: the devices of its resource claims, or its extended resources of the vendors whose cards there are. The node selector
 * `accelerator` is the model. Undefined where it asks for none.
 * @throws PluginError `PLUGIN_DEVICES_REFUSED` where no card has a device of its claims
 */
export function requestOf(
  plan: Pick<Plan, 'pod' | 'resources' | 'claimed'>,
  pool: CardPool
): DeviceRequest | undefined {
  const vendors = new Set([...pool.cards()].map(({ card }) => card.vendor))
  const resources = Object.fromEntries(
    Object.entries(plan.resources.extended).filter(([name]) => vendors.has(name.split('/')[0]!))
  )
  const { uid, namespace, name, nodeSelector = {} } = plan.pod
  if (plan.claimed)
    return claimOf({ uid, project: namespace, name: `${namespace}/${name}` }, plan.claimed, pool)
  if (Object.keys(resources).length === 0) return undefined
  const model = nodeSelector.accelerator
  return {
    uid,
    project: namespace,
    name: `${namespace}/${name}`,
    resources,
    ...(model === undefined ? {} : { models: [model] })
  }
}

function claimOf(
  who: Pick<DeviceRequest, 'uid' | 'project' | 'name'>,
  names: readonly string[],
  pool: CardPool
): DeviceRequest {
  const parts = partsByName([...pool.cards()].map(({ card }) => card))
  const exactly = names.map((name) => {
    const part = parts.get(name)
    if (!part)
      throw new PluginError('PLUGIN_DEVICES_REFUSED', {
        uid: who.uid,
        reason: `no card here has the device ${name} of its resource claim; delete the claim to have another one allocated`
      })
    return { card: part.card.id, resource: part.placement.resource, start: part.placement.start }
  })
  const resources: Record<string, number> = {}
  for (const { resource } of exactly) resources[resource] = (resources[resource] ?? 0) + 1
  return { ...who, resources, exactly }
}

/** A request as the placement sees it. */
export function wishOf(request: DeviceRequest, policy: DevicePolicy, view: PolicyView): Wish {
  const ranks = new Map<CardGroup, number | undefined>()
  const resources = resourceList(request)
  return {
    resources,
    ...(request.exactly ? { exactly: request.exactly } : {}),
    together: request.together ?? 'host',
    rank(group) {
      if (!ranks.has(group))
        ranks.set(group, suits(request, group) ? policy.rank(request, group, view) : undefined)
      return ranks.get(group)
    }
  }
}

function suits({ hosts, models, labels = {} }: DeviceRequest, group: CardGroup): boolean {
  return (
    (hosts?.includes(group.host) ?? true) &&
    (models?.some((model) => model === group.model || model === modelLabel(group.model)) ?? true) &&
    Object.entries(labels).every(([key, value]) => group.labels[key] === value)
  )
}
