/** All that a pod and its site say to sbatch, in one list. */
import type { Notice, Plan, Refusal } from '../kit/plan/plan.ts'
import { refuseFlags, type FlagPolicy } from './annotations/flag-policy.ts'
import { flagText, parseFlags, type Flag } from './annotations/parse-flags.ts'
import { annotationField } from '../kit/plan/annotations.ts'
import type { SlurmAnnotations } from './annotations/read-annotations.ts'
import type { PartitionFacts } from './cluster-facts.ts'
import { chooseFlavor, type Flavor } from './flavors.ts'
import { mergeFlags, mergeRequest } from './merge-flags.ts'
import { limitTime } from './partition-limits.ts'
import { requestedFlags, signalFlag, timeFlag, type ResourceOptions } from './resources.ts'

export interface JobFlagOptions {
  readonly flags: FlagPolicy
  readonly flavors: readonly Flavor[]
  readonly defaultFlavor?: string
  readonly resources: ResourceOptions
}

export interface JobFlags {
  /** Arguments of sbatch. */
  readonly args: readonly string[]
  /** `--output` and `--error` of the pod; see batch-script.ts. */
  readonly files: readonly string[]
  readonly notices: readonly Notice[]
  readonly refusals: readonly Refusal[]
}

/**
 * Weakest first: what is ours (job name, comment, output), the flavor, the annotation, what the pod requests. Limits
 * of cpu and memory in the annotation hold where the pod asks for none, as in the reference. A `--time` that is
 * written stays, as the deadline of the pod is held by the supervisor.
 */
export function jobFlags(
  plan: Plan,
  dir: string,
  annotations: SlurmAnnotations,
  options: JobFlagOptions,
  partitions: readonly PartitionFacts[]
): JobFlags {
  const { pod } = plan
  const notices: Notice[] = []
  const refusals: Refusal[] = []
  const asked = annotations.flags ? parseFlags(annotations.flags.value) : undefined
  const field = annotationField(annotations.flags?.name ?? 'slurm-job.vk.io/flags')
  for (const message of [
    ...(asked?.errors ?? []),
    ...refuseFlags(asked?.flags ?? [], options.flags, pod.namespace)
  ])
    refusals.push({ field, message })
  const tell = (reason: string, message: string) => notices.push({ reason, message })
  for (const message of asked?.notices ?? []) tell('AnnotationRead', `${field}: ${message}`)

  const flavor = chooseFlavor(plan, annotations.flavor, options.flavors, options.defaultFlavor)
  if (flavor.notice) tell('FlavorNotFound', flavor.notice)
  const written = mergeFlags(mergeFlags(defaults(plan), flavor.flags), asked?.flags ?? [])
  const { flags: requested, unknown } = requestedFlags(plan, options.resources)
  for (const resource of unknown)
    refusals.push({
      field: `resources.limits[${resource}]`,
      message: `Slurm has no name for ${resource} here; remove it, or give it one in options.resources.extended`
    })
  const time = written.some(({ name }) => name === 'time') ? undefined : timeFlag(plan, options.resources)
  const merged = mergeRequest(written, [...requested, ...(time ? [time] : [])])
  for (const message of merged.notices) tell('FlagReplaced', message)
  const limited = limitTime(merged.flags, time !== undefined, partitions)
  notices.push(...limited.notices)
  const { flags, files } = withOwnOutput(limited.flags, dir)
  const args = withSignal(flags, plan, options.resources, tell).map(flagText)
  return { args, files, notices, refusals }
}

const own = (name: string, value?: string): Flag => ({
  name,
  ...(value === undefined ? {} : { value }),
  written: `--${name}`
})

/** Where the pod and its site say nothing. The comment is how the job is found, and no pod can set it. */
const defaults = ({ pod }: Plan): Flag[] => [
  own('job-name', `${pod.namespace}-${pod.name}`),
  own('comment', pod.uid),
  own('no-requeue')
]

/** Slurm fails a job whose output file cannot be opened, and empties one that is there: it only ever gets ours. */
function withOwnOutput(flags: readonly Flag[], dir: string): { flags: Flag[]; files: string[] } {
  const theirs = flags.filter(({ name }) => name === 'output' || name === 'error')
  return {
    flags: [
      ...flags.filter(({ name }) => !['output', 'error', 'open-mode', 'input'].includes(name)),
      own('output', `${dir.replaceAll('%', '%%')}/job.out`),
      own('open-mode', 'append')
    ],
    files: [...new Set(theirs.flatMap(({ value }) => (value ? [value] : [])))]
  }
}

/** The signal before the time limit is the supervisor's; of the user's own the time counts. */
function withSignal(
  flags: readonly Flag[],
  plan: Plan,
  options: ResourceOptions,
  tell: (reason: string, message: string) => void
): Flag[] {
  const asked = flags.find(({ name }) => name === 'signal')
  const ours = signalFlag(plan, options)
  const rest = flags.filter(({ name }) => name !== 'signal')
  if (!asked) return [...rest, ours]
  const seconds = /@(\d+)$/.exec(asked.value ?? '')?.[1]
  const value = seconds === undefined ? ours.value! : `B:TERM@${seconds}`
  tell(
    'SignalReplaced',
    `${asked.written}: the pod is ended by its stop signal; sbatch gets --signal=${value}`
  )
  return [...rest, { ...ours, value }]
}
