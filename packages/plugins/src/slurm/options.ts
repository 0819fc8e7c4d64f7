import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'
import { AdoptOptions } from './adopt.ts'
import { BatchOptions } from './batch-script.ts'
import { ImageOptions } from '../kit/containers/images.ts'
import { ContainerOptionsSchema } from './launch.ts'
import { SshOptions } from '../kit/transport/ssh-options.ts'
import { StreamOptions } from './slurm-streams.ts'
import { UserOptions } from '../kit/users/user-options.ts'
import { TaintsOption } from '../kit/taints-option.ts'

const closed = { additionalProperties: false } as const

/** The Slurm backend's own section of the plugin configuration. */
export const SlurmOptions = Type.Object(
  {
    batch: BatchOptions,
    containers: ContainerOptionsSchema,
    images: ImageOptions,
    conf: Type.Optional(
      Type.String({ pattern: '^/', description: 'SLURM_CONF for Slurm’s clients; default: their own' })
    ),
    bin: Type.Optional(
      Type.String({
        pattern: '^/[^:]*$',
        description: 'directory of Slurm’s clients, ahead of PATH, also in jobs; default: PATH alone'
      })
    ),
    ssh: Type.Optional(SshOptions),
    adopt: Type.Optional(AdoptOptions),
    users: Type.Optional(UserOptions),
    streams: StreamOptions,
    partition: Type.Optional(
      Type.String({
        pattern: '^[^-]',
        description: 'the partitions whose nodes count as capacity, with commas; default: all'
      })
    ),
    submissions: Type.Integer({
      default: 4,
      minimum: 1,
      maximum: 64,
      description: 'sbatch at the same time'
    }),
    timeouts: Type.Object(
      {
        querySeconds: Type.Number({ default: 30, minimum: 1, description: 'squeue, sacct, sinfo, scancel' }),
        submitSeconds: Type.Number({ default: 300, minimum: 1, description: 'sbatch' }),
        testJobSeconds: Type.Number({
          default: 60,
          minimum: 1,
          description: 'how long doctor waits for its job to start, and then for its end'
        })
      },
      { ...closed, default: {} }
    ),
    taints: TaintsOption
  },
  closed
)
export type SlurmOptions = Static<typeof SlurmOptions>

export const completeOptions = (options: unknown): SlurmOptions =>
  Value.Parse(SlurmOptions, Value.Default(SlurmOptions, structuredClone(options ?? {})))
