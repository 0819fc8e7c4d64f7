import { Type, type Static } from 'typebox'
import type { SubmittedJob } from '../kit/backend.ts'
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
    via: Type.Array(Type.Union([Type.Literal('srun'), Type.Literal('ssh')]), {
      default: ['srun', 'ssh'],
      description:
        'ways to the node of a job, the first that works: a step by srun --overlap, or ssh from where Slurm’s clients are; [] offers none of exec, attach, cp and port-forward'
    }),
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

/** The ways to jobs of one account; nothing where the site offers none. */
export function slurmAccess(cluster: Cluster, options: StreamOptions): HubAccess | undefined {
  if (options.via.length === 0) return undefined
  const ways = options.via.map((name): Way => ({
    name,
    open: async (job) =>
      openOn(cluster, options, name, job, await hubArgv(await cluster.site.seenAs(job.dir)))
  }))
  return hubAccess({ ways, timeoutMs: options.startSeconds * 1000 })
}

/** Starts a program on the first node of a job, where its batch script runs. */
export async function openOn(
  { slurm, transport }: Pick<Cluster, 'slurm' | 'transport'>,
  { ssh, startSeconds }: StreamOptions,
  way: 'srun' | 'ssh',
  { jobId }: Pick<SubmittedJob, 'jobId'>,
  argv: readonly string[]
): Promise<LiveProcess> {
  if (way === 'srun') return transport.open(stepArgv(jobId, startSeconds, argv))
  return transport.open([...ssh, '--', await slurm.batchHost(jobId), shellWords(argv)])
}
