import type { BackendState } from '../kit/backend.ts'
import { signalSlackSeconds } from './resources.ts'

/** What Slurm says of a job. */
export interface SlurmJob {
  readonly jobId: string
  /** Long name, squeue(1) JOB STATE CODES. */
  readonly state: string
  /** Why it waits, or why it ended; `None` where there is nothing to say. */
  readonly reason: string
  /** Start, or expected start; epoch ms. */
  readonly startAt?: number
  /** End, or at the latest by its time limit; epoch ms. */
  readonly endAt?: number
  /** Its time limit. */
  readonly limitMs?: number
  readonly nodes: string
  readonly comment: string
  /** User id of who has cancelled it; only accounting knows. */
  readonly cancelledBy?: string
}

export const commentOf = (uid: string, mark: string): string => `${uid} ${mark}`

/** The comment is the pod's UID and the mark of the root that has handed the job over. */
export const ownerOf = ({ comment }: SlurmJob): { readonly uid: string; readonly mark: string } => {
  const [uid = '', mark = ''] = comment.split(' ')
  return { uid, mark }
}

export const isOver = (job: Pick<SlurmJob, 'state'>): boolean => meaningOf(job).phase === 'gone'

interface Meaning extends BackendState {
  /** In words, ahead of Slurm's reason. */
  readonly message?: string
}

const queued = (message: string): Meaning => ({ phase: 'queued', reason: 'Queued', message })
const active = (): Meaning => ({ phase: 'active' })
const gone = (reason: string, message: string): Meaning => ({ phase: 'gone', reason, message })

/** Every state of squeue(1) and sacct(1) of Slurm 22.05 to 24.11, in Kubernetes' words. */
export const stateTable = {
  BOOT_FAIL: gone('NodeLost', 'the node did not boot'),
  CANCELLED: gone('Cancelled', 'the job was cancelled'),
  COMPLETED: { phase: 'gone' },
  COMPLETING: active(),
  CONFIGURING: queued('the nodes of the job are getting ready'),
  DEADLINE: gone('DeadlineExceeded', 'the deadline of the job came'),
  FAILED: gone('JobFailed', 'the job ended before it could say how'),
  NODE_FAIL: gone('NodeLost', 'a node of the job failed'),
  OUT_OF_MEMORY: gone('OOMKilled', 'the job needed more memory than it had asked for'),
  PENDING: queued('waiting in the queue'),
  PREEMPTED: gone('Preempted', 'the job made room for one of higher priority'),
  REQUEUED: queued('back in the queue'),
  REQUEUE_FED: queued('back in the queue of the federation'),
  REQUEUE_HOLD: queued('back in the queue, held'),
  RESIZING: active(),
  RESV_DEL_HOLD: queued('held: its reservation has been deleted'),
  REVOKED: gone('Revoked', 'another cluster of the federation took the job'),
  RUNNING: active(),
  SIGNALING: active(),
  SPECIAL_EXIT: queued('back in the queue, held, after a special exit code'),
  STAGE_OUT: active(),
  STOPPED: active(),
  SUSPENDED: active(),
  TIMEOUT: gone('DeadlineExceeded', 'the job reached its time limit')
} as const satisfies Record<string, Meaning>

/** Reasons that tell nothing beyond the state. */
const silent = new Set(['', 'None', 'N/A'])

/** Hints for the commonest reasons of waiting, squeue(1) JOB REASON CODES. */
const hints: Readonly<Record<string, string>> = {
  Priority: 'jobs of higher priority are ahead',
  Resources: 'it is next; its resources are still in use',
  Dependency: 'it waits for another job',
  DependencyNeverSatisfied: 'the job it waits for did not end as it had to',
  JobHeldUser: 'held by its user',
  JobHeldAdmin: 'held by an administrator',
  PartitionTimeLimit: 'it asks for more time than its partition gives',
  PartitionNodeLimit: 'it asks for more nodes than its partition gives',
  PartitionConfig: 'it asks for what its partition does not give',
  PartitionDown: 'its partition is down',
  ReqNodeNotAvail: 'nodes it needs are not available',
  BadConstraints: 'no node fulfils its constraints',
  BeginTime: 'its begin has not come'
}

/** What else is known of a job that has ended. */
export interface EndFacts {
  /** Name of who has cancelled it. */
  readonly cancelledBy?: string
  /** Of the signal before the time limit, sbatch(1) `--signal`. */
  readonly signalSeconds?: number
}

/** A state that Slurm has not documented counts as active, so that nothing is lost by it. */
const meaningOf = ({ state }: Pick<SlurmJob, 'state'>): Meaning =>
  (stateTable as Record<string, Meaning>)[state] ?? active()

/** What a job is to the kit. */
export function backendState(job: SlurmJob, facts: EndFacts = {}): BackendState {
  const meaning = endedByLimit(job, facts) ? nearLimit : meaningOf(job)
  const { phase } = meaning
  const ended = phase === 'gone' && job.endAt !== undefined ? { endedAt: job.endAt } : {}
  if (meaning.message === undefined) return { ...meaning, ...ended }
  const by = job.cancelledBy === undefined ? undefined : (facts.cancelledBy ?? `uid ${job.cancelledBy}`)
  const parts = [
    `Slurm job ${job.jobId}: ${meaning.message}${by === undefined ? '' : ` by ${by}`}`,
    ...(silent.has(job.reason) ? [] : [explain(job.reason)]),
    ...(phase === 'gone' && job.nodes !== '' ? [`on ${job.nodes}`] : []),
    ...(phase === 'queued' && job.startAt !== undefined ? [`expected start ${minuteOf(job.startAt)}`] : [])
  ]
  const reason =
    phase === 'queued' && !silent.has(job.reason) ? `Queued${firstWord(job.reason)}` : meaning.reason
  return { phase, ...(reason ? { reason } : {}), message: parts.join('; '), ...ended }
}

const nearLimit = gone('DeadlineExceeded', 'the job came to its time limit, and was told to end before it')
/** Whether the signal before its time limit may be why a job has ended: what heeds it is no TIMEOUT to Slurm. */
export const endsByItself = ({ state }: Pick<SlurmJob, 'state'>): boolean =>
  state === 'COMPLETED' || state === 'FAILED'

function endedByLimit(job: SlurmJob, { signalSeconds }: EndFacts): boolean {
  const { startAt, endAt, limitMs } = job
  if (!endsByItself(job)) return false
  if (startAt === undefined || endAt === undefined || limitMs === undefined || signalSeconds === undefined)
    return false
  return endAt >= startAt + limitMs - (signalSeconds + signalSlackSeconds) * 1000
}

const explain = (reason: string): string => {
  const hint = hints[firstWord(reason)]
  return hint ? `${reason}: ${hint}` : reason
}

/** Reasons of Kubernetes are single words; Slurm has `ReqNodeNotAvail, UnavailableNodes:n1`. */
const firstWord = (reason: string): string => /^\w+/.exec(reason)?.[0] ?? ''

/** An estimate; to the second it would change with every look of the scheduler. */
const minuteOf = (epochMs: number): string => `${new Date(epochMs).toISOString().slice(0, 16)}Z`
