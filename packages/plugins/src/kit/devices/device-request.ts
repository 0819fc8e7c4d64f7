import { Compile } from 'typebox/compile'
import { PluginError } from '../../errors.ts'
import type { Plan } from '../plan/plan.ts'
import type { CardGroup, CardPool } from './card-pool.ts'
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
 * What a pod asks of the broker: its extended resources of the vendors whose cards there are. The node selector
 * `accelerator` is the model. Undefined where it asks for none.
 */
export function requestOf(plan: Pick<Plan, 'pod' | 'resources'>, pool: CardPool): DeviceRequest | undefined {
  const vendors = new Set([...pool.cards()].map(({ card }) => card.vendor))
  const resources = Object.fromEntries(
    Object.entries(plan.resources.extended).filter(([name]) => vendors.has(name.split('/')[0]!))
  )
  if (Object.keys(resources).length === 0) return undefined
  const { uid, namespace, name, nodeSelector = {} } = plan.pod
  const model = nodeSelector.accelerator
  return {
    uid,
    project: namespace,
    name: `${namespace}/${name}`,
    resources,
    ...(model === undefined ? {} : { models: [model] })
  }
}

/** A request as the placement sees it. */
export function wishOf(request: DeviceRequest, policy: DevicePolicy, view: PolicyView): Wish {
  const ranks = new Map<CardGroup, number | undefined>()
  const resources = resourceList(request)
  return {
    resources,
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
