import { Type, type Static } from 'typebox'
import { labelled, modelLabel, targetOf } from '../kit/plan/extended-resources.ts'
import type { Plan } from '../kit/plan/plan.ts'
import { classadString } from './classad.ts'

const closed = { additionalProperties: false } as const

export const defaultExtended: Readonly<Record<string, string>> = {
  'nvidia.com/gpu': 'gpus',
  'amd.com/gpu': 'gpus',
  'xilinx.com/fpga': 'fpgas',
  'intel.com/fpga': 'fpgas'
}

/** GlobalMemoryMb of a GPU: the label that NVIDIA's feature discovery gives to nodes, in MiB. */
const gpuMemoryKey = 'nvidia.com/gpu.memory'
/** DeviceName. */
const gpuModelKey = 'nvidia.com/gpu.product'

export const ResourceOptions = Type.Object(
  {
    extended: Type.Record(Type.String(), Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_*]*$' }), {
      default: {},
      description:
        'extended resource to the name behind request_ (gpus, fpga, or a MACHINE_RESOURCE_name of the pool); a * at the end of the resource stands for the * of the value'
    }),
    models: Type.Array(modelLabel('gpus: the model of a GPU; default: an attribute of the machine'), {
      default: [{ key: gpuModelKey, resource: 'gpus', names: {} }],
      description:
        'pod labels for a model of hardware: DeviceName of a GPU, or without a resource the attribute of a machine that is named as the label, with _ for what cannot stand in a name'
    }),
    gpuMemory: Type.Array(Type.String(), {
      default: [gpuMemoryKey],
      description: 'keys of a nodeSelector whose value is the least memory of a GPU in MiB'
    }),
    memoryOverheadMiB: Type.Integer({
      default: 0,
      minimum: 0,
      description:
        'added to request_memory of pods that ask for memory: HTCondor counts what the supervisor and the programs that run containers take as well'
    }),
    gracePadding: Type.Integer({
      default: 30,
      minimum: 0,
      description: 'seconds that a job has to end beyond the grace of its pod'
    })
  },
  { ...closed, default: {} }
)
export type ResourceOptions = Static<typeof ResourceOptions>

export interface Requested {
  /** Command of a submit description to its value. */
  readonly commands: readonly (readonly [string, string])[]
  /** What its machine must be. */
  readonly requirements: readonly string[]
  /** Extended resources that HTCondor has no name for here. */
  readonly unknown: readonly string[]
}

/**
 * The pod's effective request. What the pod does not ask for is the pool's own default. HTCondor knows whole cpus;
 * part of one is one.
 */
export function requested(plan: Plan, options: ResourceOptions): Requested {
  const { cpuMillis, memoryBytes, ephemeralBytes, extended } = plan.resources
  const known = { ...defaultExtended, ...options.extended }
  const counts = new Map<string, number>()
  const unknown: string[] = []
  for (const [resource, count] of Object.entries(extended)) {
    const target = targetOf(resource, known)
    if (target === undefined || !/^\w+$/.test(target)) unknown.push(resource)
    else counts.set(target.toLowerCase(), (counts.get(target.toLowerCase()) ?? 0) + count)
  }
  const machine = options.models.flatMap((model) => {
    const asked = model.resource === undefined ? labelled(plan, model.key) : undefined
    return asked === undefined
      ? []
      : [`TARGET.${model.key.replace(/\W/g, '_')} == ${classadString(nameOf(asked, model.names))}`]
  })
  return {
    commands: [
      ...(cpuMillis > 0 ? [['request_cpus', String(Math.ceil(cpuMillis / 1000))] as const] : []),
      ...(memoryBytes > 0
        ? [['request_memory', `${atLeastOne(memoryBytes, 2 ** 20) + options.memoryOverheadMiB}M`] as const]
        : []),
      ...(ephemeralBytes > 0 ? [['request_disk', `${atLeastOne(ephemeralBytes, 2 ** 10)}K`] as const] : []),
      ...[...counts].map(([name, count]) => [`request_${name}`, String(count)] as const),
      ...(counts.has('gpus') ? gpuProperties(plan, options) : [])
    ],
    requirements: machine,
    unknown
  }
}

function gpuProperties(plan: Plan, { models, gpuMemory }: ResourceOptions): (readonly [string, string])[] {
  const model = models
    .filter(({ resource }) => resource === 'gpus')
    .flatMap(({ key, names }) => {
      const asked = labelled(plan, key)
      return asked === undefined ? [] : [Object.hasOwn(names, asked) ? names[asked]! : asked]
    })[0]
  const memory = gpuMemory.map((key) => labelled(plan, key)).find((value) => /^\d+$/.test(value ?? ''))
  return [
    ...(memory === undefined ? [] : [['gpus_minimum_memory', memory] as const]),
    // The label has dashes where the driver's name has blanks.
    ...(model === undefined
      ? []
      : [['require_gpus', `regexp(${classadString(patternOf(model))}, DeviceName, "i")`] as const])
  ]
}

const patternOf = (model: string): string =>
  `^${model.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/[- ]/g, '[- ]')}$`
const nameOf = (asked: string, names: Readonly<Record<string, string>>): string =>
  Object.hasOwn(names, asked) ? names[asked]! : asked.toLowerCase()
const atLeastOne = (bytes: number, unit: number): number => Math.max(1, Math.ceil(bytes / unit))

/**
 * Seconds after which HTCondor ends a pod with a deadline itself: the supervisor ends it at its deadline, and this
 * only comes after that.
 */
export const durationOf = (
  { deadlineSeconds, graceSeconds }: Plan,
  { gracePadding }: ResourceOptions
): number | undefined =>
  deadlineSeconds === undefined ? undefined : deadlineSeconds + graceSeconds + gracePadding
