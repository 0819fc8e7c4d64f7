import { join } from 'node:path'
import { Type, type Static } from 'typebox'
import type { Job } from '../kit/backend.ts'
import type { Notice, Refusal } from '../kit/plan/plan.ts'
import { readAnnotations } from './annotations.ts'
import { ClassAdError, classadString, expressionError, submitArguments, submitValue } from './classad.ts'
import { attributes, type Whose } from './commands.ts'
import type { Command, Described } from './description-text.ts'
import { bundleFile, sentFile, stateFile } from './job-program.ts'
import { durationOf, requested, ResourceOptions } from './resources.ts'
import { AccountingOptions, CommandPolicy, readWishes } from './wishes.ts'

const closed = { additionalProperties: false } as const

/** What a job says to HTCondor. */
export const SubmitOptions = Type.Object(
  {
    policy: CommandPolicy,
    accounting: AccountingOptions,
    resources: ResourceOptions,
    requirements: Type.Optional(
      Type.String({
        description: 'an expression that the machine of every job must fulfil, beside the pod’s own'
      })
    ),
    extra: Type.Array(Type.String({ pattern: '^[^\\n\\r]*$' }), {
      default: [],
      description: 'further lines of the site for every submit description, as condor_submit(1) has them'
    }),
    preamble: Type.String({
      default: '',
      description: 'shell text of the site in front of every job, such as `module load apptainer`'
    })
  },
  { ...closed, default: {} }
)
export type SubmitOptions = Static<typeof SubmitOptions>

export interface Place extends Whose {
  /** The job directory, as condor_submit sees it. */
  readonly dir: string
  /** HTCondor carries its files; otherwise the machines see the directory too. */
  readonly transfers?: boolean
  /** Of the event log; absent where it could not be read. */
  readonly log?: string
  readonly shell: string
}

export interface Description {
  readonly job: Described
  readonly notices: readonly Notice[]
  readonly refusals: readonly Refusal[]
}

/** The program of the job, in its directory; see job-program.ts. */
export const programFile = 'condor.sh'

/** What the job says beside its containers, relative to its directory. */
const outputFile = 'job.out'

/** An eviction sends what there is as well, and it is there for the next run. */
const carried = [
  ['should_transfer_files', 'YES'],
  ['when_to_transfer_output', 'ON_EXIT_OR_EVICT'],
  ['transfer_input_files', `${programFile}, ${bundleFile}`],
  ['transfer_output_files', `${sentFile}, ${stateFile}`]
] as const

/** The job of a plan as condor_submit takes it. Pure. */
export function renderDescription(
  { plan }: Pick<Job, 'plan'>,
  { dir, transfers = false, log, mark, user, shell }: Place,
  options: SubmitOptions
): Description {
  const { pod } = plan
  const { annotations, notices } = readAnnotations(plan)
  const wishes = readWishes(plan, annotations, options)
  const { commands, requirements, unknown } = requested(plan, options.resources)
  const duration = durationOf(plan, options.resources)
  const needs = [
    ...requirements,
    ...[options.requirements, wishes.requirements].flatMap((each) =>
      each === undefined ? [] : [`(${each})`]
    )
  ]
  const same: (readonly [string, string])[] = [
    ['universe', 'vanilla'],
    ['executable', submitValue(shell)],
    ['transfer_executable', 'false'],
    ...(transfers ? carried : ([['should_transfer_files', 'NO']] as const)),
    ['output', outputFile],
    ['error', outputFile],
    ...(log === undefined ? [] : [['log', submitValue(log)] as const]),
    ['notification', 'never'],
    ['kill_sig', 'SIGTERM'],
    ['job_max_vacate_time', String(plan.graceSeconds + options.resources.gracePadding)],
    ...(duration === undefined ? [] : [['allowed_job_duration', String(duration)] as const]),
    ...commands,
    ...(needs.length === 0 ? [] : [['requirements', needs.join(' && ')] as const]),
    ...wishes.commands,
    [`+${attributes.root}`, classadString(mark)],
    ...(user === undefined ? [] : [[`+${attributes.user}`, classadString(user)] as const])
  ]
  const own: (readonly [string, string])[] = [
    ['arguments', submitArguments([transfers ? programFile : join(dir, programFile)])],
    ['initialdir', submitValue(dir)],
    ['+JobBatchName', classadString(`${pod.namespace}/${pod.name}`)],
    [`+${attributes.uid}`, classadString(pod.uid)],
    [`+${attributes.pod}`, classadString(pod.name)],
    [`+${attributes.namespace}`, classadString(pod.namespace)]
  ]
  const described: Command[] = [
    ...same.map(([name, value]) => ({ name, value })),
    ...own.map(([name, value]) => ({ name, value, own: true }) as const)
  ]
  return {
    job: { commands: described, extra: options.extra },
    notices: [...notices, ...wishes.notices],
    refusals: [
      ...wishes.refusals,
      ...unknown.map((resource) => ({
        field: `resources.limits[${resource}]`,
        message: `HTCondor has no name for ${resource} here; remove it, or give it one in options.submit.resources.extended`
      }))
    ]
  }
}

/** @throws ClassAdError where an expression of the site is none */
export function checkSubmitOptions({ requirements }: SubmitOptions): void {
  const error = requirements === undefined ? undefined : expressionError(requirements)
  if (error !== undefined) throw new ClassAdError(`options.submit.requirements: ${error}`)
}
