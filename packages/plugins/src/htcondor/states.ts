import type { BackendState } from '../kit/backend.ts'
import { holdMeaning, type HoldOutcome } from './hold-codes.ts'

/** What HTCondor says of a job. */
export interface CondorJob {
  /** ClusterId and ProcId: `12.0`. */
  readonly jobId: string
  /** JobStatus. */
  readonly status: number
  readonly uid: string
  /** Of the root that has handed the job over. */
  readonly mark: string
  readonly holdCode?: number
  readonly holdSubcode?: number
  /** Why it is held, was removed, or goes on waiting. */
  readonly holdReason?: string
  readonly removeReason?: string
  readonly rejectReason?: string
  readonly vacateReason?: string
  /** Machine of its run, be it over. */
  readonly host?: string
  /** Of that machine: IPv4, or IPv6 without brackets. */
  readonly address?: string
  /** How often it was begun. */
  readonly starts: number
  /** When it was submitted, and when it came into its state; epoch ms. */
  readonly queuedAt?: number
  readonly sinceAt?: number
  readonly exitCode?: number
  readonly exitSignal?: number
  /** Its files are being brought to its machine, or wait for that. */
  readonly isTransferring?: boolean
  /** Nothing of it runs any more: a job that is removed stays in the queue until then. */
  readonly hasLeft?: boolean
}

/** JobStatus of the manual's Job ClassAd attributes. */
export const jobStatus = {
  idle: 1,
  running: 2,
  removed: 3,
  completed: 4,
  held: 5,
  transferringOutput: 6,
  suspended: 7
} as const

/** "Input files are being spooled." */
const spoolingCode = 16

/** Its files have not come. */
export const isCutOff = ({ status, holdCode }: CondorJob): boolean =>
  status === jobStatus.held && holdCode === spoolingCode

export interface HoldPolicy {
  /** By the name or number of a hold code, such as `SystemPolicy` or `26.1` with its subcode. */
  readonly outcomes: Readonly<Record<string, HoldOutcome>>
  /** How often a job is given back to the queue before its pod waits. */
  readonly releases: number
}

/** What is done about a held job; see {@link holdMeaning}. */
export function holdOutcome(job: CondorJob, { outcomes, releases }: HoldPolicy): HoldOutcome {
  const meaning = holdMeaning(job.holdCode, job.holdSubcode, job.holdReason ?? '')
  const keys = [`${job.holdCode}.${job.holdSubcode}`, String(job.holdCode), meaning.name]
  const own = keys.find((key) => Object.hasOwn(outcomes, key))
  const outcome = own === undefined ? meaning.outcome : outcomes[own]!
  return outcome === 'release' && job.starts > releases ? 'wait' : outcome
}

/** What a job is to the kit. A pod has the address of its machine. */
export function backendState(job: CondorJob, policy: HoldPolicy): BackendState {
  const state = stateOf(job, policy)
  return job.address === undefined || state.phase === 'queued' ? state : { ...state, podIP: job.address }
}

/** The address in what HTCondor names a daemon by: `<192.0.2.7:9618?addrs=…>`, `<[2001:db8::7]:9618>`. */
export const addressIn = (sinful: string | undefined): string | undefined =>
  /<\[?([\d.]+|[\da-f:.]+(?=\]))\]?:\d+/i.exec(sinful ?? '')?.[1]

function stateOf(job: CondorJob, policy: HoldPolicy): BackendState {
  const on = job.host ? ` on ${job.host}` : ''
  const said = (message: string) => `HTCondor job ${job.jobId}: ${message}`
  const ended = job.sinceAt === undefined ? {} : { endedAt: job.sinceAt }
  switch (job.status) {
    case jobStatus.idle:
      return { phase: 'queued', reason: 'Queued', message: said(waiting(job)) }
    case jobStatus.running:
      return job.isTransferring
        ? { phase: 'queued', reason: 'QueuedTransferring', message: said(`its files are on their way${on}`) }
        : { phase: 'active' }
    case jobStatus.held:
      return held(job, policy, said)
    case jobStatus.removed:
      if (!job.hasLeft) return { phase: 'active', message: said('it is being removed') }
      return {
        phase: 'gone',
        reason: 'Cancelled',
        message: said(`it was removed${job.removeReason ? `: ${job.removeReason}` : ''}`),
        ...ended
      }
    case jobStatus.completed:
      return { phase: 'gone', ...completed(job, said(''), on), ...ended }
    case jobStatus.suspended:
      return { phase: 'active', message: said(`suspended${on}`) }
    // Transferring output, and what is not documented: nothing is lost by it.
    default:
      return { phase: 'active' }
  }
}

const waiting = ({ starts, rejectReason, vacateReason }: CondorJob): string =>
  [
    starts > 0 ? `back in the queue${vacateReason ? ` (${vacateReason})` : ''}` : 'waiting in the queue',
    ...(rejectReason ? [rejectReason] : [])
  ].join('; ')

/** The supervisor's files say how the pod has ended; this is said where they do not. */
function completed({ exitCode, exitSignal }: CondorJob, said: string, on: string): Partial<BackendState> {
  if (exitSignal !== undefined)
    return { reason: 'JobFailed', message: `${said}a signal ${exitSignal} ended it${on}` }
  if (!exitCode) return {}
  return { reason: 'JobFailed', message: `${said}it ended with ${exitCode}${on} before it could say how` }
}

function held(job: CondorJob, policy: HoldPolicy, said: (message: string) => string): BackendState {
  const meaning = holdMeaning(job.holdCode, job.holdSubcode, job.holdReason ?? '')
  const code = job.holdCode === undefined ? '' : ` (hold code ${job.holdCode}.${job.holdSubcode ?? 0})`
  const message = said([meaning.message + code, ...(job.holdReason ? [job.holdReason] : [])].join('; '))
  if (holdOutcome(job, policy) !== 'fail')
    return { phase: 'queued', reason: `Held${meaning.name === 'Held' ? '' : meaning.name}`, message }
  return {
    phase: 'gone',
    reason: meaning.reason ?? 'JobHeld',
    message,
    ...(job.sinceAt === undefined ? {} : { endedAt: job.sinceAt })
  }
}
