/** The commands of HTCondor that are used, as argv, and what they print, parsed. Pure. */
import { classadString } from './classad.ts'
import { addressIn, jobStatus, type CondorJob } from './states.ts'

/** Names of our attributes in the ad of a job. */
export const attributes = {
  uid: 'InterLinkPodUID',
  root: 'InterLinkRoot',
  pod: 'InterLinkPodName',
  namespace: 'InterLinkPodNamespace',
  user: 'InterLinkUser'
} as const

/** Which queue: of this machine, or by its name, in a pool. */
export interface Queue {
  /** Name of a schedd. */
  readonly schedd?: string
  /** Of a collector: host and port. */
  readonly pool?: string
}

const at = ({ schedd, pool }: Queue): string[] => [
  ...(pool === undefined ? [] : ['-pool', pool]),
  ...(schedd === undefined ? [] : ['-name', schedd])
]

/** The submit description comes by standard input. All its jobs are there when it has ended, whatever the site. */
export const submitArgv = (queue: Queue, spool: boolean): string[] => [
  'env',
  '_CONDOR_SUBMIT_FACTORY_JOBS_BY_DEFAULT=false',
  'condor_submit',
  '-terse',
  ...at(queue),
  ...(spool ? ['-spool'] : [])
]

/** `12.0 - 12.2`: three jobs of one cluster, in the order of the description. */
export function parseJobIds(stdout: string): string[] {
  const [, cluster, first, last] = /^(\d+)\.(\d+) - \1\.(\d+)\s*$/m.exec(stdout) ?? []
  if (cluster === undefined) return []
  const count = Math.max(0, Number(last) - Number(first) + 1)
  return Array.from({ length: count }, (_, index) => `${cluster}.${Number(first) + index}`)
}

/** Whether it is one of HTCondor's, and none that was made up for a job that it had no more. */
export const isJobId = (jobId: string): boolean => /^\d+(\.\d+)?$/.test(jobId)

/** As HTCondor tells of it; a cluster alone is its first job. */
export const fullJobId = (jobId: string): string => (/^\d+$/.test(jobId) ? `${jobId}.0` : jobId)

/** By age. */
export function compareJobIds(a: string, b: string): number {
  const [cluster = 0, proc = 0] = fullJobId(a).split('.').map(Number)
  const [otherCluster = 0, otherProc = 0] = fullJobId(b).split('.').map(Number)
  return cluster - otherCluster || proc - otherProc
}

const projection = [
  'ClusterId',
  'ProcId',
  'JobStatus',
  'EnteredCurrentStatus',
  'QDate',
  attributes.uid,
  attributes.root,
  'HoldReason',
  'HoldReasonCode',
  'HoldReasonSubCode',
  'RemoveReason',
  'LastRejMatchReason',
  'VacateReason',
  'RemoteHost',
  'LastRemoteHost',
  'StartdIpAddr',
  'NumShadowStarts',
  'ExitCode',
  'ExitSignal',
  'TransferringInput',
  'TransferQueued'
].join(',')

/** Who has handed jobs over. */
export interface Whose {
  /** Of the root; see `rootMark`. */
  readonly mark: string
  /** Of `options.users`; absent where it is the account of the plugin. */
  readonly user?: string | undefined
}

/** Whose jobs, by a constraint on our attributes. */
export const ofRoot = ({ mark, user }: Whose): string =>
  `${attributes.root} == ${classadString(mark)} && ${attributes.user} =?= ${user === undefined ? 'undefined' : classadString(user)}`
export const ofPod = (whose: Whose, uid: string): string =>
  `${attributes.uid} == ${classadString(uid)} && ${ofRoot(whose)}`
/** Of these those of the root; of an id that is none of ours nothing is touched. */
export const ofJobs = (whose: Whose, jobIds: readonly string[]): string =>
  `(${jobIds.map(ofJob).join(' || ')}) && ${ofRoot(whose)}`
/** Whoever's it is. */
export function ofJob(jobId: string): string {
  const [cluster, proc] = fullJobId(jobId).split('.').map(Number)
  return `(ClusterId == ${cluster} && ProcId == ${proc})`
}

export const queueArgv = (queue: Queue, constraint: string): string[] => [
  'condor_q',
  ...at(queue),
  '-allusers',
  '-json',
  '-attributes',
  projection,
  '-constraint',
  constraint
]

/** Looked for from the newest back to `since`, epoch s. */
export const historyArgv = (
  queue: Queue,
  constraint: string,
  { limit, since }: { readonly limit: number; readonly since: number }
): string[] => [
  'condor_history',
  ...at(queue),
  '-json',
  '-limit',
  String(limit),
  '-since',
  `EnteredCurrentStatus < ${Math.floor(since)}`,
  '-attributes',
  projection,
  '-constraint',
  constraint
]

export const removeArgv = (queue: Queue, constraint: string, reason: string): string[] => [
  'condor_rm',
  ...at(queue),
  '-reason',
  reason,
  '-constraint',
  constraint
]

/** Of jobs that were removed: they leave the queue without the word of their machines. */
export const forgetArgv = (queue: Queue, constraint: string, reason: string): string[] => {
  const [program, ...rest] = removeArgv(queue, constraint, reason)
  return [program!, '-forcex', ...rest]
}

export const releaseArgv = (queue: Queue, constraint: string): string[] => [
  'condor_release',
  ...at(queue),
  '-constraint',
  constraint
]

/** Brings the output of spooled jobs back to where they were submitted from. */
export const transferArgv = (queue: Queue, constraint: string): string[] => [
  'condor_transfer_data',
  ...at(queue),
  '-constraint',
  constraint
]

/** The constraint has met nothing, or nothing that can still be changed. */
export const isUnknownJob = (words: string): boolean =>
  /couldn't find\/(remove|release) all jobs|no jobs in the queue|not found/i.test(words)

/** The jobs of condor_q(1) or condor_history(1) `-json`; of none the former prints nothing at all. */
export function parseJobs(text: string, hasLeft = false): CondorJob[] {
  if (text.trim() === '') return []
  const ads: unknown = JSON.parse(text)
  if (!Array.isArray(ads)) throw new Error('HTCondor lists its jobs in a way that is not known')
  return ads.flatMap((ad: Record<string, unknown>) => {
    const [cluster, proc, status] = [ad.ClusterId, ad.ProcId, ad.JobStatus].map(numberOf)
    if (cluster === undefined || proc === undefined || status === undefined) return []
    const job: CondorJob = {
      jobId: `${cluster}.${proc}`,
      status,
      uid: wordsOf(ad[attributes.uid]) ?? '',
      mark: wordsOf(ad[attributes.root]) ?? '',
      starts: numberOf(ad.NumShadowStarts) ?? 0,
      ...given({
        holdCode: numberOf(ad.HoldReasonCode),
        holdSubcode: numberOf(ad.HoldReasonSubCode),
        holdReason: wordsOf(ad.HoldReason),
        removeReason: wordsOf(ad.RemoveReason),
        rejectReason: status === jobStatus.idle ? wordsOf(ad.LastRejMatchReason) : undefined,
        vacateReason: wordsOf(ad.VacateReason),
        host: wordsOf(ad.RemoteHost) ?? wordsOf(ad.LastRemoteHost),
        address: addressIn(wordsOf(ad.StartdIpAddr)),
        queuedAt: epochMs(ad.QDate),
        sinceAt: epochMs(ad.EnteredCurrentStatus),
        exitCode: numberOf(ad.ExitCode),
        exitSignal: numberOf(ad.ExitSignal),
        isTransferring: ad.TransferringInput === true || ad.TransferQueued === true || undefined,
        hasLeft: hasLeft || status === jobStatus.completed || undefined
      })
    }
    return [job]
  })
}

const given = <T extends object>(fields: { [K in keyof T]: T[K] | undefined }): Partial<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>

const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)
/** An expression that was not evaluated is `/Expr(…)/`. */
const wordsOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' && !value.startsWith('/Expr(')
    ? value.replace(/\s+/g, ' ')
    : undefined
const epochMs = (value: unknown): number | undefined => {
  const seconds = numberOf(value)
  return seconds ? seconds * 1000 : undefined
}

/** A command on the machine of a job, by a shell there. A job that has just begun is waited for. */
export const sshToJobArgv = (queue: Queue, jobId: string, command: string): string[] => [
  'condor_ssh_to_job',
  ...at(queue),
  '-auto-retry',
  jobId,
  command
]
