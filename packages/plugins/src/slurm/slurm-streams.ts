import { Type, type Static } from 'typebox'
import type { SubmittedJob } from '../kit/backend.ts'
import { errandBy, type CallHome } from '../kit/streams/call-home.ts'
import { CallHomeOptions } from '../kit/streams/call-home-options.ts'
import { hubArgv, type LiveProcess } from '../kit/streams/hub.ts'
import { hubAccess, type HubAccess, type Way } from '../kit/streams/hub-access.ts'
import { shellWords } from '../kit/supervisor/quote.ts'
import { stepArgv } from './commands.ts'
import type { Site } from '../kit/sites/site.ts'
import type { SlurmClient } from './slurm-client.ts'
import type { Transport } from '../kit/transport/transport.ts'

const closed = { additionalProperties: false } as const

/** How exec, attach, cp and port-forward reach a job. */
export const StreamOptions = Type.Object(
  {
    via: Type.Array(Type.Union([Type.Literal('srun'), Type.Literal('ssh'), Type.Literal('call-home')]), {
      default: ['srun', 'ssh', 'call-home'],
      description:
        'ways to the node of a job, the first that works: a step by srun --overlap, ssh from where Slurm’s clients are, or a connection that the job makes to callHome; [] offers none of exec, attach, cp and port-forward'
    }),
    callHome: Type.Optional(CallHomeOptions),
    ssh: Type.Array(Type.String(), {
      minItems: 1,
      default: ['ssh', '-T', '-o', 'BatchMode=yes', '-o', 'ConnectTimeout=10'],
      description: 'ssh(1) to a node, which follows'
    }),
    startSeconds: Type.Number({
      default: 30,
      minimum: 1,
      description: 'how long each way has until it leads there'
    })
  },
  { ...closed, default: {} }
)
export type StreamOptions = Static<typeof StreamOptions>

interface Cluster {
  readonly slurm: SlurmClient
  readonly site: Site
  readonly transport: Transport
}

export type WayName = StreamOptions['via'][number]

/** What comes into question: jobs call only where they have been told whom. */
export const waysOf = ({ via, callHome }: StreamOptions): WayName[] =>
  via.filter((name) => name !== 'call-home' || callHome)

/** The ways to jobs of one account; nothing where the site offers none. */
export function slurmAccess(
  cluster: Cluster,
  options: StreamOptions,
  callHome: CallHome | undefined
): HubAccess | undefined {
  const { site } = cluster
  const timeoutMs = options.startSeconds * 1000
  const ways = waysOf(options).map((name): Way => {
    if (name === 'call-home') return callHome!.way(errandBy(site), timeoutMs)
    return {
      name,
      open: async (job) => openOn(cluster, options, name, job, await hubArgv(await site.seenAs(job.dir)))
    }
  })
  return ways.length === 0 ? undefined : hubAccess({ ways, timeoutMs })
}

/** Starts a program on the first node of a job, where its batch script runs. */
export async function openOn(
  { slurm, transport }: Pick<Cluster, 'slurm' | 'transport'>,
  { ssh, startSeconds }: StreamOptions,
  way: Exclude<WayName, 'call-home'>,
  { jobId }: Pick<SubmittedJob, 'jobId'>,
  argv: readonly string[]
): Promise<LiveProcess> {
  if (way === 'srun') return transport.open(stepArgv(jobId, startSeconds, argv))
  return transport.open([...ssh, '--', await slurm.batchHost(jobId), shellWords(argv)])
}
