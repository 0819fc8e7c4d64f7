/** The accounts whose jobs a plugin of a batch system runs: its own, or those of the users of its pods. */
import { userInfo } from 'node:os'
import { ConfigError } from '@interlink-ts/interlink-api/config'
import type { Backend, BackendContext } from '../backend.ts'
import type { ImageOptions } from '../containers/images.ts'
import { RemoteSite } from '../sites/remote-site.ts'
import { sharedSite, type Site } from '../sites/site.ts'
import { localTransport } from '../transport/local.ts'
import type { SshOptions } from '../transport/ssh-options.ts'
import { SshTransport } from '../transport/ssh.ts'
import { sudoTransport } from '../transport/sudo.ts'
import type { Transport } from '../transport/transport.ts'
import { forUser, isPerUser, type UserOptions } from './user-options.ts'
import { UsersBackend, type OwnBackend } from './users-backend.ts'

/** Of a backend: how the clients of its batch system are reached, and by whom. */
export interface AccountOptions {
  readonly ssh?: SshOptions | undefined
  readonly users?: UserOptions | undefined
  /** Directory of the clients, ahead of PATH. */
  readonly bin?: string | undefined
  readonly images: ImageOptions
}

export interface Account {
  /** Absent for that of the plugin. */
  readonly user?: string
  readonly transport: Transport
  /** Where its job directories lie. */
  readonly site: Site
  readonly images: ImageOptions
}

/**
 * One backend for the account of the plugin and, with `options.users`, for each user; `env` is that of the clients.
 * @throws ConfigError
 */
export function openAccounts(
  options: AccountOptions,
  env: Readonly<Record<string, string>>,
  { log }: Pick<BackendContext, 'log'>,
  make: (account: Account) => OwnBackend
): Backend {
  const { ssh, users, bin, images } = options
  const path = process.env.PATH ?? ''
  const found: Record<string, string> = bin === undefined ? {} : { PATH: `${bin}:${path}` }
  const transport = ssh ? new SshTransport(ssh, env, bin) : localTransport({ ...env, ...found })
  const site = ssh?.directory === undefined ? sharedSite : new RemoteSite(transport, ssh.directory)
  if (!users) return make({ transport, site, images })
  refuseContradictions(options, users)
  // sudo keeps none of the variables of the caller, and PATH is its own: secure_path of sudoers(5).
  const here = ssh ? env : { ...env, PATH: path }
  const become = (user: string): Transport => {
    if (users.through === 'sudo') return sudoTransport(transport, user, here, bin)
    const keyFile = users.keyFile === undefined ? {} : { keyFile: forUser(users.keyFile, user) }
    return new SshTransport({ ...ssh!, user, ...keyFile }, env, bin)
  }
  return new UsersBackend(
    users,
    log,
    make({ transport, site, images: imagesOf(images, ssh?.user ?? userInfo().username) }),
    (user) => {
      const own = become(user)
      return make({
        user,
        transport: own,
        site: new RemoteSite(own, forUser(users.directory, user)),
        images: imagesOf(images, user)
      })
    }
  )
}

/** What users have of their own: nobody could write into the cache of another. */
const perUser = ['cache', 'authFile'] as const

function refuseContradictions({ ssh, images }: AccountOptions, users: UserOptions): void {
  const wrong = (field: string, why: string) => new ConfigError(`${field}: ${why}`, { field })
  if (users.through === 'ssh' && !ssh)
    throw wrong('options.users.through', 'ssh needs options.ssh; give it, or use sudo')
  for (const key of perUser)
    if (images[key] !== undefined && !isPerUser(images[key]))
      throw wrong(
        `options.images.${key}`,
        'with options.users it is each user’s own; begin it with ~/ or put {user} into it'
      )
}

function imagesOf(images: ImageOptions, user: string): ImageOptions {
  const own = perUser.flatMap((key) => {
    const path = images[key]
    return path === undefined ? [] : [[key, forUser(path, user)]]
  })
  return { ...images, ...Object.fromEntries(own) }
}
