import { Type, type Static } from 'typebox'
import { labelled, modelLabel, targetOf, type ModelLabel } from '../kit/plan/extended-resources.ts'
import type { Plan } from '../kit/plan/plan.ts'
import type { Flag } from './annotations/parse-flags.ts'

const closed = { additionalProperties: false } as const

export const defaultExtended: Readonly<Record<string, string>> = {
  'nvidia.com/gpu': 'gpu',
  'nvidia.com/mig-*': 'gpu:*',
  'amd.com/gpu': 'gpu',
  'intel.com/gpu': 'gpu',
  'xilinx.com/fpga': 'fpga',
  'intel.com/fpga': 'fpga'
}

export const ResourceOptions = Type.Object(
  {
    extended: Type.Record(Type.String(), Type.String(), {
      default: {},
      description:
        'extended resource to what it is in Slurm: a GRES (gpu, gpu:a100), or a flag with {count} (--gpus={count}, --licenses=matlab:{count}); a * at the end of the resource stands for the * of the value'
    }),
    models: Type.Array(modelLabel('the extended resource that gets a type'), {
      default: [],
      description:
        'pod labels for a model of hardware: the type of a GRES, or without a resource --constraint'
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

export interface RequestedFlags {
  readonly flags: readonly Flag[]
  /** Extended resources that Slurm has no name for here. */
  readonly unknown: readonly string[]
}

const own = (name: string, value: string): Flag => ({ name, value, written: `--${name}=${value}` })
const mib = (bytes: number): string => `${Math.max(1, Math.ceil(bytes / 2 ** 20))}M`

/**
 * The pod's effective request as flags of sbatch. What the pod does not ask for gets no flag: it is the partition's.
 * Slurm knows whole cpus; part of one is one.
 */
export function requestedFlags(plan: Plan, options: ResourceOptions): RequestedFlags {
  const { cpuMillis, memoryBytes, ephemeralBytes, extended } = plan.resources
  const known = { ...defaultExtended, ...options.extended }
  const unknown: string[] = []
  const gres: string[] = []
  const others: Flag[] = []
  for (const [resource, count] of Object.entries(extended)) {
    const target = targetOf(resource, known)
    if (target === undefined) unknown.push(resource)
    else if (target.startsWith('--')) {
      const [, name = '', value = ''] = /^--([^=]+)=(.*)$/.exec(target) ?? []
      others.push(own(name, value.replaceAll('{count}', String(count))))
    } else gres.push(`${withModel(target, resource, plan, options)}:${count}`)
  }
  const constraints = options.models
    .filter(({ resource }) => resource === undefined)
    .flatMap((model) => modelOf(plan, model) ?? [])
  return {
    flags: [
      ...(cpuMillis > 0 ? [own('cpus-per-task', String(Math.ceil(cpuMillis / 1000)))] : []),
      ...(memoryBytes > 0 ? [own('mem', mib(memoryBytes))] : []),
      ...(ephemeralBytes > 0 ? [own('tmp', mib(ephemeralBytes))] : []),
      ...(gres.length > 0 ? [own('gres', gres.join(','))] : []),
      ...(constraints.length > 0 ? [own('constraint', constraints.join('&'))] : []),
      ...others
    ],
    unknown
  }
}

/** The signal before the time limit may come so much earlier than it was asked for, sbatch(1) `--signal`. */
export const signalSlackSeconds = 60

/**
 * The time limit of a pod with a deadline. The supervisor ends the pod at its deadline; Slurm's signal and its limit,
 * in whole minutes, only come after that.
 */
export function timeFlag(plan: Plan, { gracePadding }: ResourceOptions): Flag | undefined {
  if (plan.deadlineSeconds === undefined) return undefined
  const seconds = plan.deadlineSeconds + plan.graceSeconds + gracePadding + signalSlackSeconds
  return own('time', String(Math.ceil(seconds / 60)))
}

/** TERM for the supervisor, and the time to end in, before the time limit; sbatch(1) takes at most 65535 s. */
export const signalFlag = (plan: Plan, { gracePadding }: ResourceOptions): Flag =>
  own('signal', `B:TERM@${Math.min(65_535, plan.graceSeconds + gracePadding)}`)

function withModel(gres: string, resource: string, plan: Plan, { models }: ResourceOptions): string {
  if (gres.includes(':')) return gres
  const type = models
    .filter((model) => model.resource === resource)
    .flatMap((model) => modelOf(plan, model) ?? [])[0]
  return type === undefined ? gres : `${gres}:${type}`
}

function modelOf(plan: Plan, { key, names }: ModelLabel): string | undefined {
  const asked = labelled(plan, key)
  if (asked === undefined) return undefined
  const name = Object.hasOwn(names, asked) ? names[asked]! : asked.toLowerCase()
  return /^[\w.+-]+$/.test(name) ? name : undefined
}
