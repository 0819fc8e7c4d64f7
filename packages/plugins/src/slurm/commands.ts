/** The commands of Slurm that are used, as argv, and what they print, parsed. Pure. */
import { secondsOf } from './cluster-facts.ts'
import type { SlurmJob } from './states.ts'

/** Times as epochs: the clock and zone of the machine do not matter. SLURM_TIME_FORMAT is of squeue(1) and sacct(1). */
export const slurmEnv = { SLURM_TIME_FORMAT: '%s', LC_ALL: 'C' } as const

/** The script comes by standard input. By the comment the job is found, whatever its name. */
export const sbatchArgv = (args: readonly string[], comment: string): string[] => [
  'sbatch',
  '--parsable',
  ...args,
  `--comment=${comment}`
]

/** `1234` or, in a federation, `1234;cluster`. */
export const parseJobId = (stdout: string): string | undefined =>
  /^(\d+)(?:;\S*)?\s*$/.exec(stdout.trim().split('\n').at(-1) ?? '')?.[1]

/**
 * All jobs of this account, ended ones too as far as the controller still knows them. What others may write (the
 * comment) stands last, so that no character in it can move another field.
 */
export const squeueArgv = (): string[] => [
  'squeue',
  '--noheader',
  '--me',
  '--states=all',
  '--format=%A|%T|%S|%e|%l|%N|%r|%k'
]

/** Lines that are none of a job are passed over: a comment of somebody else's job may have several. */
export function parseSqueue(text: string): SlurmJob[] {
  return text.split('\n').flatMap((line) => {
    const match = /^(\d+)\|([A-Z_]+)((?:\|[^|]*){5})\|(.*)$/.exec(line)
    if (!match) return []
    const [, jobId = '', state = '', middle = '', comment = ''] = match
    const [start = '', end = '', limit = '', nodes = '', reason = ''] = middle.slice(1).split('|')
    return job({ jobId, state, reason, nodes, comment }, { start, end, limitSeconds: secondsOf(limit) })
  })
}

/** Only allocations, not steps. */
export const sacctArgv = (jobIds: readonly string[]): string[] => [
  'sacct',
  '--noheader',
  '--allocations',
  '--parsable2',
  '--duplicates',
  `--jobs=${jobIds.join(',')}`,
  '--format=JobIDRaw,State%40,Start,End,TimelimitRaw,NodeList%200,Reason,Comment'
]

/** Of a job that was requeued the last line holds. */
export function parseSacct(text: string): SlurmJob[] {
  const jobs = new Map<string, SlurmJob>()
  for (const line of text.split('\n')) {
    const match = /^(\d+)\|([A-Z_]+)(?: by (\d+))?\+?((?:\|[^|]*){5})\|(.*)$/.exec(line)
    if (!match) continue
    const [, jobId = '', state = '', cancelledBy, middle = '', comment = ''] = match
    const [start = '', end = '', limit = '', nodes = '', reason = ''] = middle.slice(1).split('|')
    const limitSeconds = /^\d+$/.test(limit) ? Number(limit) * 60 : undefined
    const found = job({ jobId, state, reason, nodes, comment }, { start, end, limitSeconds })
    jobs.set(jobId, cancelledBy === undefined ? found : { ...found, cancelledBy })
  }
  return [...jobs.values()]
}

const job = (
  {
    jobId,
    state,
    reason,
    nodes,
    comment
  }: Pick<SlurmJob, 'jobId' | 'state' | 'reason' | 'nodes' | 'comment'>,
  { start, end, limitSeconds }: { start: string; end: string; limitSeconds: number | undefined }
): SlurmJob => {
  const [startAt, endAt] = [epochMs(start), epochMs(end)]
  return {
    jobId,
    state,
    reason,
    nodes: nodes === 'None assigned' ? '' : nodes,
    comment: comment === '(null)' ? '' : comment,
    ...(startAt === undefined ? {} : { startAt }),
    ...(endAt === undefined ? {} : { endAt }),
    ...(limitSeconds === undefined ? {} : { limitMs: limitSeconds * 1000 })
  }
}

const epochMs = (text: string): number | undefined =>
  /^[1-9]\d*$/.test(text) ? Number(text) * 1000 : undefined

/** The name of a user, getent(1): id(1) takes no number before coreutils 8.31. */
export const userArgv = (uid: string): string[] => ['getent', 'passwd', uid]

/** The first node of a job. */
export const batchHostArgv = (jobId: string): string[] => [
  'squeue',
  '--noheader',
  `--jobs=${jobId}`,
  '--format=%B'
]

/**
 * A program on the first node of a job, beside all that runs there, with as much of the job as its batch script has;
 * srun(1). `--unbuffered`: its output comes as it is and when it comes, not by lines. Of the caller's environment and
 * limits nothing but PATH goes along.
 */
export const stepArgv = (jobId: string, patienceSeconds: number, argv: readonly string[]): string[] => [
  'srun',
  `--jobid=${jobId}`,
  '--overlap',
  '--nodes=1',
  '--ntasks=1',
  '--relative=0',
  '--mem=0',
  '--cpu-bind=none',
  '--mpi=none',
  '--propagate=NONE',
  '--export=PATH',
  '--chdir=/',
  '--job-name=interlink-streams',
  `--immediate=${Math.ceil(patienceSeconds)}`,
  '--quiet',
  '--unbuffered',
  ...argv
]

/** Of a waiting job there is no batch script to signal, and scancel would wait until there is: hence the states. */
export const cancelWaitingArgv = (jobId: string): string[] => ['scancel', '--state=PENDING', jobId]
export const terminateArgv = (jobId: string): string[] => [
  'scancel',
  '--signal=TERM',
  '--batch',
  '--state=RUNNING',
  jobId
]
export const cancelArgv = (jobId: string): string[] => ['scancel', jobId]

/** Slurm has forgotten the job, or it has ended. */
export const isUnknownJob = (stderr: string): boolean =>
  /Invalid job id|already completing or completed|Job\/step already/i.test(stderr)

/** `Name = value` lines of scontrol(1) show config. */
export const parseConfig = (text: string): ReadonlyMap<string, string> =>
  new Map(
    text.split('\n').flatMap((line) => {
      const [, name, value] = /^(\w\S*)\s+=\s(.*)$/.exec(line) ?? []
      return name === undefined ? [] : [[name, value!.trim()] as const]
    })
  )

/** State and exit code out of scontrol(1) show job. */
export function parseJob(text: string): {
  readonly state: string
  readonly reason: string
  readonly exit: number
} {
  const field = (name: string) => new RegExp(`(?:^|\\s)${name}=(\\S*)`).exec(text)?.[1] ?? ''
  return {
    state: field('JobState'),
    reason: field('Reason'),
    exit: Number.parseInt(field('ExitCode'), 10) || 0
  }
}
