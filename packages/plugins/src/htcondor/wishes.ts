/** What a pod asks of HTCondor by its annotations, held against what its site lets pods ask. Pure. */
import { Type, type Static } from 'typebox'
import { refuseAnnotation, type Annotation } from '../kit/plan/annotations.ts'
import { namePolicy, refusedByPolicy, type NamePolicy } from '../kit/plan/name-policy.ts'
import type { Notice, Plan, Refusal } from '../kit/plan/plan.ts'
import type { CondorAnnotations } from './annotations.ts'
import { assignments, ClassAdError, expressionError } from './classad.ts'
import { attributes } from './commands.ts'

const closed = { additionalProperties: false } as const
const group = Type.String({ pattern: '^[A-Za-z0-9_.@-]+$' })
const limits = Type.Array(Type.String({ pattern: '^[A-Za-z0-9_.]+(:[0-9.]+)?$' }))

const accounting = {
  group: Type.Optional(Type.Union([group], { description: 'accounting_group of jobs' })),
  user: Type.Optional(Type.Union([group], { description: 'accounting_group_user of jobs' })),
  concurrencyLimits: Type.Optional(
    Type.Union([limits], { description: 'concurrency limits that jobs count against, such as licences:2' })
  )
}

/** What jobs are charged to and counted against. */
export const AccountingOptions = Type.Object(
  {
    ...accounting,
    namespaces: Type.Record(Type.String(), Type.Object(accounting, closed), {
      default: {},
      description: 'the same for the pods of a namespace, key by key in place of those above'
    })
  },
  { ...closed, default: {} }
)
export type AccountingOptions = Static<typeof AccountingOptions>

export const CommandPolicy = namePolicy(
  'commands of a submit description (requirements, rank, priority, accounting_group, concurrency_limits) and +Attribute of classads'
)

export interface Wishes {
  readonly requirements?: string
  /** Command, or `+Attribute`, to its value. */
  readonly commands: readonly (readonly [string, string])[]
  readonly notices: readonly Notice[]
  readonly refusals: readonly Refusal[]
}

const theJob = 'what runs, where and as whom is decided by the plugin'
const found = 'the job is found by it'

/** Attributes that no pod may set, in lower case: Job ClassAd attributes of the HTCondor manual. */
const forbidden: readonly (readonly [RegExp, string])[] = [
  [new RegExp(`^(${Object.values(attributes).join('|')}|interlink\\w*)$`, 'i'), found],
  [/^(ClusterId|ProcId|GlobalJobId|QDate|JobStatus|EnteredCurrentStatus|LastJobStatus)$/i, found],
  [/^(JobUniverse|Cmd|Args|Arguments|Env|Environment|Iwd|In|Out|Err|UserLog|Executable\w*)$/i, theJob],
  [/^(Owner|User|OsUser|NTDomain|x509\w*|Acct\w*|AccountingGroup|NiceUser)$/i, theJob],
  [
    /^(Transfer\w*|Spooled\w*|ShouldTransfer\w*|WhenToTransfer\w*|Stream\w*|EncryptExecuteDirectory)$/i,
    theJob
  ],
  [
    /^(Want(Container|Docker|SIF|Sandbox|Singularity|IOProxy|Remote|Checkpoint|Graceful)\w*|Container\w*|Docker\w*|Singularity\w*|Hook\w*|(Pre|Post)(Cmd|Arg\w*|Env\w*)|Cron\w*|Deferral\w*)$/i,
    theJob
  ],
  [
    /^(Request\w*|Require\w*|Requirements|Rank|JobPrio|ConcurrencyLimits\w*|Gpus\w*)$/i,
    'it has a way of its own: a request, or an annotation'
  ],
  [
    /^(Periodic\w*|OnExit\w*|TimerRemove\w*|LeaveJobInQueue|Kill\w*|RemoveKillSig|HoldKillSig|JobMaxVacateTime|KeepClaimIdle|MaxJobRetirementTime|AllowedJob\w*|Num\w*|JobLeaseDuration)$/i,
    'when a job ends is decided by its pod'
  ],
  [
    /^(HoldReason\w*|ReleaseReason|RemoveReason|Exit\w*|Last\w*|Remote\w*|MyType|TargetType)$/i,
    'HTCondor itself sets it'
  ]
]

const universes: Readonly<Record<string, string>> = {
  local: 'it would run on the machine of the queue',
  scheduler: 'it would run on the machine of the queue',
  docker: 'containers are run by the supervisor of the job',
  grid: 'the job would leave the pool, where it cannot be followed'
}

/** Pure; `namespaces` of the site come before what holds for all. */
export function readWishes(
  { pod }: Plan,
  annotations: CondorAnnotations,
  options: { readonly policy: NamePolicy; readonly accounting: AccountingOptions }
): Wishes {
  const refusals: Refusal[] = []
  const notices: Notice[] = []
  const commands = new Map<string, string>()
  const refuse = (annotation: Annotation, message: string) =>
    refusals.push(refuseAnnotation(annotation, message))
  const set = (annotation: Annotation, name: string, value: string, error?: string) => {
    const why = error ?? refusedByPolicy({ name, value }, options.policy, pod.namespace, (each) => each)
    if (why !== undefined) refuse(annotation, `${why}; remove or correct it`)
    else commands.set(name, value)
  }
  for (const [name, value] of siteCommands(options.accounting, pod.namespace)) commands.set(name, value)

  const { rank, priority, universe, classads, 'accounting-group': charged } = annotations
  const counted = annotations['concurrency-limits']
  if (annotations.requirements) {
    const { requirements } = annotations
    set(requirements, 'requirements', requirements.value, expressionError(requirements.value))
  }
  if (rank) set(rank, 'rank', rank.value, expressionError(rank.value))
  if (priority)
    set(
      priority,
      'priority',
      priority.value,
      /^[+-]?\d{1,9}$/.test(priority.value) ? undefined : 'a priority is a whole number'
    )
  if (charged)
    set(
      charged,
      'accounting_group',
      charged.value,
      /^[\w.@-]+$/.test(charged.value) ? undefined : 'an accounting group is made of letters, digits and ._-@'
    )
  if (counted) {
    const own = counted.value.split(',').map((limit) => limit.trim())
    const isWrong = own.some((limit) => !/^[\w.]+(:\d+(\.\d+)?)?$/.test(limit))
    const whole = [...(commands.get('concurrency_limits')?.split(',') ?? []), ...own].join(',')
    set(
      counted,
      'concurrency_limits',
      whole,
      isWrong ? 'limits are names with commas, such as db:2' : undefined
    )
  }
  if (universe) checkUniverse(universe, refuse)
  if (classads)
    for (const { name, value } of assignmentsOf(classads, refuse)) {
      const why = forbidden.find(([pattern]) => pattern.test(name))?.[1]
      set(classads, `+${name}`, value, why && `${name}: ${why}`)
    }
  const requirements = commands.get('requirements')
  commands.delete('requirements')
  return {
    ...(requirements === undefined ? {} : { requirements }),
    commands: [...commands],
    notices,
    refusals
  }
}

function siteCommands(
  { namespaces, ...all }: AccountingOptions,
  namespace: string
): (readonly [string, string])[] {
  const own = Object.hasOwn(namespaces, namespace) ? namespaces[namespace] : {}
  const { group, user, concurrencyLimits } = { ...all, ...own }
  return [
    ...(group === undefined ? [] : [['accounting_group', group] as const]),
    ...(user === undefined ? [] : [['accounting_group_user', user] as const]),
    ...(concurrencyLimits?.length ? [['concurrency_limits', concurrencyLimits.join(',')] as const] : [])
  ]
}

/** Both are what is done anyway: the job is one of the vanilla universe, in which images are run by Apptainer. */
function checkUniverse(
  annotation: Annotation,
  refuse: (annotation: Annotation, message: string) => void
): void {
  const name = annotation.value.toLowerCase()
  if (name === 'vanilla' || name === 'container') return
  refuse(
    annotation,
    `universe ${JSON.stringify(annotation.value)}: ${universes[name] ?? 'it is not offered'}; write vanilla or container`
  )
}

function assignmentsOf(annotation: Annotation, refuse: (annotation: Annotation, message: string) => void) {
  try {
    return assignments(annotation.value)
  } catch (error) {
    if (!(error instanceof ClassAdError)) throw error
    refuse(annotation, `${error.message}`)
    return []
  }
}
