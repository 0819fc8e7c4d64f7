import {
  isWhole,
  parseQuantity,
  toMillis,
  toUnits,
  type ResourceRequirements
} from '@interlink-ts/interlink-api/wire'
import type { Context, Placed } from './context.ts'
import type { Findings } from './findings.ts'
import type { PlannedContainer, PlannedResources } from './plan.ts'

/** Resource names to nano units. */
type Amounts = ReadonlyMap<string, bigint>

interface Demand {
  readonly requests: Amounts
  readonly limits: Amounts
}

const native = ['cpu', 'memory', 'ephemeral-storage']

export interface CompiledResources {
  readonly pod: PlannedResources
  readonly limits: ReadonlyMap<Placed, PlannedContainer['limits']>
}

/**
 * The pod's effective request and each container's limits. The request is the larger of what runs together in
 * the end and of each init container beside the sidecars started before it (KEP-753); requests fall back to
 * limits, pod-level ones win (KEP-2837), overhead is added.
 */
export function compileResources(placed: readonly Placed[], context: Context): CompiledResources {
  const { pod, policy, findings } = context
  const demands = new Map(
    placed.map((item) => [item, demand(item.container.resources, `${item.path}.resources`, findings)])
  )
  const whole = demand(pod.spec.resources, 'spec.resources', findings)
  let sidecars: Amounts = new Map()
  let peak: Amounts = new Map()
  let running: Amounts = new Map()
  for (const [{ kind }, { requests }] of demands) {
    if (kind === 'main') running = combine(running, requests, add)
    else if (kind === 'init') peak = combine(peak, combine(sidecars, requests, add), larger)
    else {
      sidecars = combine(sidecars, requests, add)
      peak = combine(peak, sidecars, larger)
    }
  }
  const summed = combine(peak, combine(running, sidecars, add), larger)
  const overhead = amounts((pod.spec as { overhead?: Quantities }).overhead, 'spec.overhead', findings)
  const total = combine(new Map([...summed, ...whole.requests]), overhead, add)
  const fallback = amounts(policy.requests, 'policy.requests', findings)
  checkLimits(demands, whole, context)
  return {
    pod: planned(new Map([...fallback, ...total])),
    limits: new Map([...demands].map(([item, { limits }]) => [item, plannedLimits(limits, whole.limits)]))
  }
}

type Quantities = ResourceRequirements['requests']

function demand(resources: ResourceRequirements = {}, path: string, findings: Findings): Demand {
  const limits = amounts(resources.limits, `${path}.limits`, findings)
  const requests = amounts(resources.requests, `${path}.requests`, findings)
  for (const [name, amount] of requests) {
    const limit = limits.get(name)
    if (limit !== undefined && amount > limit) {
      findings.refuse(`${path}.requests.${name}`, 'the request is above the limit; lower it')
    } else if (limit !== undefined && amount !== limit && !native.includes(name)) {
      findings.refuse(
        `${path}.requests.${name}`,
        'devices cannot be overcommitted; make request and limit equal'
      )
    }
  }
  return { limits, requests: new Map([...limits, ...requests]) }
}

function amounts(quantities: Quantities, path: string, findings: Findings): Amounts {
  const result = new Map<string, bigint>()
  for (const [name, text] of Object.entries(quantities ?? {})) {
    const field = `${path}.${name}`
    const amount = parseQuantity(text)
    const extended = !native.includes(name)
    if (amount === undefined || amount < 0n) {
      findings.refuse(field, `${JSON.stringify(text)} is no quantity; write e.g. 500m, 2 or 1Gi`)
    } else if (!Number.isSafeInteger(name === 'cpu' ? toMillis(amount) : toUnits(amount))) {
      findings.refuse(field, `${text} is more than any machine has; lower it`)
    } else if (name.startsWith('hugepages-')) {
      findings.refuse(field, 'huge pages cannot be given here; remove it')
    } else if (extended && !/^[^/]+\/[^/]+$/.test(name)) {
      findings.refuse(field, 'not a resource name; write cpu, memory, ephemeral-storage or DOMAIN/NAME')
    } else if (extended && !isWhole(amount)) {
      findings.refuse(field, `${text} devices cannot be given; write a whole number`)
    } else result.set(name, amount)
  }
  return result
}

function checkLimits(
  demands: ReadonlyMap<Placed, Demand>,
  whole: Demand,
  { policy, findings }: Context
): void {
  for (const [{ path }, { limits }] of demands) {
    if (limits.has('ephemeral-storage') && !policy.backend.sizeLimits) {
      const field = `${path}.resources.limits.ephemeral-storage`
      findings.notice('EphemeralStorageNotLimited', 'the use of local storage is not limited', field)
    }
  }
  const shared = ['cpu', 'memory'].filter((name) => whole.limits.has(name))
  if (shared.length > 0 && demands.size > 1) {
    const field = shared.map((name) => `spec.resources.limits.${name}`).join(', ')
    findings.notice('PodLimitPerContainer', "holds for each container alone, not for the pod's sum", field)
  }
}

function planned(total: Amounts): PlannedResources {
  return {
    cpuMillis: toMillis(total.get('cpu') ?? 0n),
    memoryBytes: toUnits(total.get('memory') ?? 0n),
    ephemeralBytes: toUnits(total.get('ephemeral-storage') ?? 0n),
    extended: extendedOf(total)
  }
}

const extendedOf = (total: Amounts): Record<string, number> =>
  Object.fromEntries(
    [...total].flatMap(([name, amount]) =>
      native.includes(name) || amount === 0n ? [] : [[name, toUnits(amount)]]
    )
  )

function plannedLimits(own: Amounts, whole: Amounts): PlannedContainer['limits'] {
  const cpu = own.get('cpu') ?? whole.get('cpu')
  const memory = own.get('memory') ?? whole.get('memory')
  const storage = own.get('ephemeral-storage')
  const extended = extendedOf(own)
  return {
    ...(cpu === undefined ? {} : { cpuMillis: toMillis(cpu) }),
    ...(memory === undefined ? {} : { memoryBytes: toUnits(memory) }),
    ...(storage === undefined ? {} : { ephemeralBytes: toUnits(storage) }),
    ...(Object.keys(extended).length === 0 ? {} : { extended })
  }
}

function combine(left: Amounts, right: Amounts, by: (a: bigint, b: bigint) => bigint): Amounts {
  const result = new Map(left)
  for (const [name, amount] of right) result.set(name, by(result.get(name) ?? 0n, amount))
  return result
}

const add = (a: bigint, b: bigint) => a + b
const larger = (a: bigint, b: bigint) => (a > b ? a : b)
