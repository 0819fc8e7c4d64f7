import type { PingResponse } from '@interlink-ts/interlink-api/wire'
import type { NodeFacts } from './cluster-facts.ts'
import { defaultExtended, type ResourceOptions } from './resources.ts'

type Accelerator = NonNullable<NonNullable<PingResponse['resources']>['accelerators']>[number]

export interface Naming {
  readonly extended: ResourceOptions['extended']
  /** Of GPUs whose type tells no make. */
  readonly gpu: 'nvidia' | 'amd'
}

/** What nodes have, by the extended resources that pods ask for it: the map of {@link ResourceOptions} backwards. */
export function acceleratorsOf(nodes: readonly NodeFacts[], naming: Naming): Accelerator[] {
  const totals = new Map<string, { available: number; used: number; models: Set<string> }>()
  for (const { gres, usedGres } of nodes)
    for (const [name, count] of Object.entries(gres)) {
      const resource = resourceOf(name, naming)
      if (resource === undefined || count === 0) continue
      const total = totals.get(resource) ?? { available: 0, used: 0, models: new Set<string>() }
      total.available += count
      total.used += usedGres[name] ?? 0
      if (name.includes(':') && !migProfile.test(typeOf(name))) total.models.add(typeOf(name))
      totals.set(resource, total)
    }
  return [...totals]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([resourceType, { available, used, models }]) => ({
      resourceType,
      available: String(available),
      free: String(Math.max(0, available - used)),
      ...(models.size > 0 ? { models: [...models].sort() } : {})
    }))
}

/** NVIDIA's multi-instance GPU profiles. */
const migProfile = /^\d+g\.\d+gb(\+\w+)?$/
const makes: readonly (readonly [string, RegExp])[] = [
  ['amd.com/gpu', /^gpu:(amd|instinct|mi\d|radeon|gfx|vega)/i],
  ['intel.com/gpu', /^gpu:(intel|max|pvc|arc|flex)/i],
  ['intel.com/fpga', /^fpga:(intel|stratix|agilex|arria|d5005)/i],
  ['xilinx.com/fpga', /^fpga(:|$)/]
]

/** Site's own names first; of the usual ones that stand for the same GRES, the make of the type decides. */
function resourceOf(gres: string, { extended, gpu }: Naming): string | undefined {
  const own = Object.entries(extended).map(([resource, target]) => [resource, gresOf(target)] as const)
  const exact = own.find(([, target]) => target === gres)
  if (exact) return exact[0]
  for (const [resource, target] of own)
    if (target.endsWith('*') && gres.startsWith(target.slice(0, -1)))
      return resource.replace(/\*$/, gres.slice(target.length - 1))
  const [name] = gres.split(':')
  const untyped = own.find(([, target]) => target === name)
  if (untyped) return untyped[0]
  const type = typeOf(gres)
  if (name === 'gpu' && migProfile.test(type)) return `nvidia.com/mig-${type}`
  const usual =
    makes.find(([, pattern]) => pattern.test(gres))?.[0] ?? (name === 'gpu' ? `${gpu}.com/gpu` : undefined)
  // A site that has given the name another meaning means that one alone.
  return usual !== undefined && usual in defaultExtended && !Object.hasOwn(extended, usual)
    ? usual
    : undefined
}

const typeOf = (gres: string): string => gres.slice(gres.indexOf(':') + 1)

/** `--gpus=a100:{count}` asks for the GRES `gpu:a100`. */
const gresOf = (target: string): string =>
  target.replace(/^--gpus(?:-per-node)?=(.*?):?\{count\}$/, (_, type: string) =>
    type === '' ? 'gpu' : `gpu:${type}`
  )
