import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'
import { ConfigError } from '@interlink-ts/interlink-api/config'
import { ImageOptions } from '../kit/containers/images.ts'
import { TaintsOption } from '../kit/taints-option.ts'
import { SshOptions } from '../kit/transport/ssh-options.ts'
import { UserOptions } from '../kit/users/user-options.ts'
import { ClassAdError } from './classad.ts'
import { ContainerOptions } from './launch.ts'
import { StreamOptions } from './htcondor-streams.ts'
import { checkSubmitOptions, SubmitOptions } from './submit-description.ts'

const closed = { additionalProperties: false } as const
/** An argument that no program takes for an option. */
const word = (description: string) => Type.String({ pattern: '^[^-\\s][^\\s]*$', description })

/** The HTCondor backend's own section of the plugin configuration. */
export const HtcondorOptions = Type.Object(
  {
    config: Type.Optional(
      Type.String({
        pattern: '^/',
        description:
          'CONDOR_CONFIG for HTCondor’s clients; default: their own. It names tokens and certificates by file'
      })
    ),
    bin: Type.Optional(
      Type.String({
        pattern: '^/[^:]*$',
        description: 'directory of HTCondor’s clients, ahead of PATH; default: PATH alone'
      })
    ),
    schedd: Type.Optional(word('name of the queue, where it is not that of the clients’ machine')),
    pool: Type.Optional(
      word('HOST[:PORT] of the collector, where it is not that of the clients’ configuration')
    ),
    ssh: Type.Optional(SshOptions),
    users: Type.Optional(UserOptions),
    files: Type.Union([Type.Literal('shared'), Type.Literal('transfer')], {
      default: 'shared',
      description:
        'how job directories come to the machines: they see the root of the plugin, or HTCondor carries the files'
    }),
    spool: Type.Optional(
      Type.Boolean({
        description:
          'with files: transfer, condor_submit sends the files to the queue; default: where options.schedd names one'
      })
    ),
    transferDirectory: Type.String({
      default: '/tmp',
      pattern: '^/',
      description:
        'with files: transfer, a directory of every machine that jobs can write, where their directories appear as links'
    }),
    submit: SubmitOptions,
    containers: ContainerOptions,
    images: ImageOptions,
    holds: Type.Object(
      {
        outcomes: Type.Record(
          Type.String(),
          Type.Union([Type.Literal('wait'), Type.Literal('fail'), Type.Literal('release')]),
          {
            default: {},
            description:
              'what becomes of a held job, by the name or number of its hold code, or number.subcode: its pod waits, fails, or the job is released; default: by the table of the guide'
          }
        ),
        releases: Type.Integer({
          default: 3,
          minimum: 0,
          description: 'after so many starts a job is released no more, and its pod waits'
        })
      },
      { ...closed, default: {} }
    ),
    streams: StreamOptions,
    submissions: Type.Integer({
      default: 4,
      minimum: 1,
      maximum: 64,
      description: 'condor_submit at the same time; pods that ask for the same share one'
    }),
    eventLog: Type.Boolean({
      default: true,
      description: 'jobs write an event log that the plugin follows; without it only the queue is asked'
    }),
    querySeconds: Type.Number({
      default: 10,
      minimum: 0.1,
      description: 'between two condor_q, where the event log tells what happens in between'
    }),
    timeouts: Type.Object(
      {
        querySeconds: Type.Number({
          default: 30,
          minimum: 1,
          description: 'condor_q, condor_history, condor_status, condor_rm, condor_release'
        }),
        submitSeconds: Type.Number({ default: 300, minimum: 1, description: 'condor_submit' }),
        testJobSeconds: Type.Number({
          default: 60,
          minimum: 1,
          description: 'how long the job of `interlink doctor` may wait, and run'
        }),
        endedSeconds: Type.Number({
          default: 60,
          minimum: 1,
          description:
            'how long a job may stay in the queue once its pod has ended, before it is removed; and then, before it is removed without the word of its machine'
        })
      },
      { ...closed, default: {} }
    ),
    slots: Type.Optional(
      Type.String({
        pattern: '^[^-\\n]',
        description:
          'an expression for the slots that count as capacity, such as Partition == "cms"; default: all'
      })
    ),
    taints: TaintsOption
  },
  closed
)
export type HtcondorOptions = Static<typeof HtcondorOptions>

/** @throws ConfigError */
export function completeOptions(options: unknown): HtcondorOptions {
  const complete = Value.Parse(
    HtcondorOptions,
    Value.Default(HtcondorOptions, structuredClone(options ?? {}))
  )
  refuseContradictions(complete)
  try {
    checkSubmitOptions(complete.submit)
  } catch (error) {
    if (!(error instanceof ClassAdError)) throw error
    throw new ConfigError(error.message, { field: 'options.submit.requirements' })
  }
  return complete
}

function refuseContradictions({ files, ssh, users, spool, streams }: HtcondorOptions): void {
  const wrong = (field: string, why: string) => new ConfigError(`${field}: ${why}`, { field })
  if (files === 'transfer' && ssh)
    throw wrong(
      'options.ssh',
      'is of files: shared; with files: transfer name the queue by options.schedd and options.pool'
    )
  if (files === 'transfer' && users)
    throw wrong('options.users', 'is of files: shared; with files: transfer all jobs are of one account')
  if (files === 'shared' && spool) throw wrong('options.spool', 'is of files: transfer; give that too')
  if (files === 'transfer' && streams.callHome && !streams.callHome.keep)
    throw wrong(
      'options.streams.callHome.keep',
      'must be true with files: transfer: nothing reaches a job that has begun'
    )
}
