import { Type, type Static } from 'typebox'
import type { SubmittedJob } from '../kit/backend.ts'
import type { Site } from '../kit/sites/site.ts'
import { errandBy, type CallHome } from '../kit/streams/call-home.ts'
import { CallHomeOptions } from '../kit/streams/call-home-options.ts'
import { hubAccess, type HubAccess, type Way } from '../kit/streams/hub-access.ts'
import { hubArgv, type LiveProcess } from '../kit/streams/hub.ts'
import type { Transport } from '../kit/transport/transport.ts'
import { sshToJobArgv, type Queue } from './commands.ts'

/** How exec, attach, cp and port-forward reach a job. */
export const StreamOptions = Type.Object(
  {
    via: Type.Array(Type.Union([Type.Literal('ssh-to-job'), Type.Literal('call-home')]), {
      default: ['ssh-to-job', 'call-home'],
      description:
        'ways to the machine of a job, the first that works: condor_ssh_to_job, or a connection that the job makes to callHome; [] offers none of exec, attach, cp and port-forward'
    }),
    callHome: Type.Optional(CallHomeOptions),
    startSeconds: Type.Number({
      default: 30,
      minimum: 1,
      description: 'how long each way has until it leads there'
    })
  },
  { additionalProperties: false, default: {} }
)
export type StreamOptions = Static<typeof StreamOptions>
export type WayName = StreamOptions['via'][number]

/** What comes into question: jobs call only where they have been told whom. */
export const waysOf = ({ via, callHome }: StreamOptions): WayName[] =>
  via.filter((name) => name !== 'call-home' || callHome)

interface Pool {
  readonly queue: Queue
  readonly site: Site
  readonly transport: Transport
}

/** The ways to jobs; nothing where the site offers none. */
export function condorAccess(
  pool: Pool,
  options: StreamOptions,
  callHome: CallHome | undefined
): HubAccess | undefined {
  const timeoutMs = options.startSeconds * 1000
  const ways = waysOf(options).map((name): Way => {
    if (name === 'call-home') return callHome!.way(errandBy(pool.site), timeoutMs)
    return { name, open: async (job) => openOn(pool, job, await hubArgv(await pool.site.seenAs(job.dir))) }
  })
  return ways.length === 0 ? undefined : hubAccess({ ways, timeoutMs })
}

/** Starts a program on the machine of a job, as its account there. */
export const openOn = (
  { queue, transport }: Pick<Pool, 'queue' | 'transport'>,
  { jobId }: Pick<SubmittedJob, 'jobId'>,
  argv: readonly string[]
): Promise<LiveProcess> => transport.open(sshToJobArgv(queue, jobId, plainCommand(argv)))

/**
 * condor_ssh_to_job_shell_setup splits the command into words and expands `*`, `?` and `[` before a shell reads it:
 * nothing of this has any, nor blanks that matter. Pure; two words at least.
 */
export const plainCommand = (argv: readonly string[]): string =>
  [
    `perl -e 'exec(map({pack(q(H).length,$_)}@ARGV));'`,
    '--',
    ...argv.map((word) => Buffer.from(word).toString('hex') || '""')
  ].join(' ')
