import { Type, type Static } from 'typebox'

const closed = { additionalProperties: false } as const

const host = {
  host: Type.String({ pattern: '^[^\\s@-][^\\s@]*$' }),
  port: Type.Integer({ default: 22, minimum: 1, maximum: 65535 }),
  user: Type.String({ minLength: 1 })
}

/** Of this machine. */
const localPath = { pattern: '^~?/' }

/** How the login node is reached. */
export const SshOptions = Type.Object(
  {
    ...host,
    keyFile: Type.Optional(
      Type.String({
        ...localPath,
        description: 'private key; default: what the agent has, then ~/.ssh/id_ed25519, id_ecdsa, id_rsa'
      })
    ),
    passphraseFile: Type.Optional(Type.String({ ...localPath, description: 'of the key' })),
    agent: Type.Optional(
      Type.String({ ...localPath, description: 'socket of the agent; default: SSH_AUTH_SOCK' })
    ),
    knownHostsFile: Type.Optional(
      Type.String({
        ...localPath,
        description: 'default: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts'
      })
    ),
    hostKey: Type.Optional(
      Type.String({
        pattern: '^SHA256:[A-Za-z0-9+/]{43}$',
        description: 'fingerprint of the host key, as ssh-keygen -l prints it, instead of known_hosts'
      })
    ),
    jump: Type.Optional(
      Type.Object(host, { ...closed, description: 'host on the way, with the same key and known_hosts' })
    ),
    keepAliveSeconds: Type.Number({
      default: 15,
      minimum: 0.1,
      description: 'between two signs of life; after three without an answer the connection is made anew'
    }),
    channels: Type.Integer({
      default: 8,
      minimum: 1,
      maximum: 64,
      description: 'commands at the same time; sshd_config MaxSessions, which is 10, must allow them'
    }),
    directory: Type.Optional(
      Type.String({
        pattern: '^~?/',
        description:
          'where job directories lie on the cluster, ~/ being the home there; default: it sees those of the plugin at the same path'
      })
    )
  },
  closed
)
export type SshOptions = Static<typeof SshOptions>

export interface Host {
  readonly host: string
  readonly port: number
  readonly user: string
}

/** For messages: `user@host`, and the port where it is not the usual one. */
export const nameOf = ({ host, port, user }: Host): string =>
  `${user}@${host}${port === 22 ? '' : `:${port}`}`
