import { Type, type Static } from 'typebox'

const closed = { additionalProperties: false } as const

const host = {
  host: Type.String({ pattern: '^[^\\s@-][^\\s@]*$' }),
  port: Type.Integer({ default: 22, minimum: 1, maximum: 65535 }),
  user: Type.String({ minLength: 1 })
}

/** How the login node is reached. */
export const SshOptions = Type.Object(
  {
    ...host,
    keyFile: Type.Optional(
      Type.String({ pattern: '^/', description: 'private key; default: what the agent has' })
    ),
    passphraseFile: Type.Optional(Type.String({ pattern: '^/', description: 'of the key' })),
    agent: Type.Optional(
      Type.String({ pattern: '^/', description: 'socket of the agent; default: SSH_AUTH_SOCK' })
    ),
    knownHostsFile: Type.Optional(Type.String({ pattern: '^/', description: 'default: ~/.ssh/known_hosts' })),
    hostKey: Type.Optional(
      Type.String({
        pattern: '^SHA256:[A-Za-z0-9+/]{43}$',
        description: 'fingerprint of the host key, as ssh-keygen -l prints it, instead of known_hosts'
      })
    ),
    jump: Type.Optional(
      Type.Object(host, { ...closed, description: 'host on the way, with the same key and known_hosts' })
    ),
    channels: Type.Integer({
      default: 8,
      minimum: 1,
      maximum: 64,
      description: 'commands at the same time; sshd_config MaxSessions, which is 10, must allow them'
    }),
    directory: Type.Optional(
      Type.String({
        pattern: '^/',
        description:
          'where job directories lie on the cluster; default: it sees those of the plugin at the same path'
      })
    )
  },
  closed
)
export type SshOptions = Static<typeof SshOptions>
