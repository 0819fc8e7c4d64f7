import { userInfo } from 'node:os'
import { ConfigError } from '@interlink-ts/interlink-api/config'
import type { Backend, BackendContext, BackendModule } from '../kit/backend.ts'
import { CallHome } from '../kit/streams/call-home.ts'
import { slurmEnv } from './commands.ts'

import { completeOptions, SlurmOptions } from './options.ts'
import { RemoteSite } from '../kit/sites/remote-site.ts'
import { sharedSite } from '../kit/sites/site.ts'
import { SlurmBackend } from './slurm-backend.ts'
import { localTransport } from '../kit/transport/local.ts'
import { SshTransport } from '../kit/transport/ssh.ts'
import { sudoTransport } from '../kit/transport/sudo.ts'
import { forUser, isPerUser, type UserOptions } from './user-options.ts'
import { UsersBackend } from './users-backend.ts'

/** Runs pods as jobs of a Slurm cluster, through its clients. */
export const slurmBackend: BackendModule = {
  name: 'slurm',
  options: SlurmOptions,
  create: (options, context) => createSlurm(completeOptions(options), context)
}

function createSlurm(options: SlurmOptions, context: BackendContext): Backend {
  const { ssh, users, bin } = options
  const env = { ...slurmEnv, ...(options.conf === undefined ? {} : { SLURM_CONF: options.conf }) }
  const transport = ssh ? new SshTransport(ssh, env, bin) : localTransport({ ...env, ...pathWith(bin) })
  const site = ssh?.directory === undefined ? sharedSite : new RemoteSite(transport, ssh.directory)
  const { callHome: home, via } = options.streams
  const callHome =
    home && via.includes('call-home') ? new CallHome(home, context, 'options.streams.callHome') : undefined
  if (!users) return new SlurmBackend(options, context, transport, site, callHome)
  refuseContradictions(options, users)
  const account = ssh?.user ?? userInfo().username
  // sudo keeps none of the variables of the caller, and PATH is its own: secure_path of sudoers(5).
  const here = ssh ? env : { ...env, PATH: process.env.PATH ?? '' }
  return new UsersBackend(
    users,
    context.log,
    new SlurmBackend(optionsOf(options, account), context, transport, site, callHome),
    (user) => {
      const own =
        users.through === 'sudo'
          ? sudoTransport(transport, user, here, bin)
          : new SshTransport(
              {
                ...ssh!,
                user,
                ...(users.keyFile === undefined ? {} : { keyFile: forUser(users.keyFile, user) })
              },
              env,
              bin
            )
      const directory = forUser(users.directory, user)
      return new SlurmBackend(
        optionsOf(options, user),
        context,
        own,
        new RemoteSite(own, directory),
        callHome
      )
    }
  )
}

const pathWith = (bin: string | undefined): Record<string, string> =>
  bin === undefined ? {} : { PATH: `${bin}:${process.env.PATH ?? ''}` }

/** What users have of their own: nobody could write into the cache of another. */
const perUser = ['cache', 'authFile'] as const

function refuseContradictions({ ssh, images }: SlurmOptions, users: UserOptions): void {
  if (users.through === 'ssh' && !ssh)
    throw new ConfigError('options.users.through: ssh needs options.ssh; give it, or use sudo', {
      field: 'options.users.through'
    })
  for (const key of perUser)
    if (images[key] !== undefined && !isPerUser(images[key]))
      throw new ConfigError(
        `options.images.${key}: with options.users it is each user's own; begin it with ~/ or put {user} into it`,
        {
          field: `options.images.${key}`
        }
      )
}

function optionsOf(options: SlurmOptions, user: string): SlurmOptions {
  const own = perUser.flatMap((key) => {
    const path = options.images[key]
    return path === undefined ? [] : [[key, forUser(path, user)]]
  })
  return { ...options, images: { ...options.images, ...Object.fromEntries(own) } }
}
