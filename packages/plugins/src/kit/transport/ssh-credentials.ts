/** By what this side says who it is: keys of the agent and of files, as ssh(1) finds them. */
import { readFile } from 'node:fs/promises'
import ssh2, { type AnyAuthMethod, type ParsedKey } from 'ssh2'
import { fromHome } from './home.ts'
import type { SshOptions } from './ssh-options.ts'
import { TransportError } from './transport.ts'

export interface Credentials {
  /** In the order in which they are shown. */
  methods(user: string): AnyAuthMethod[]
  /** For messages: `the agent (2 keys)`, `~/.ssh/id_rsa`. */
  readonly shown: readonly string[]
  /** What was found and is of no use, with the reason. */
  readonly useless: readonly string[]
}

type Method = (user: string) => AnyAuthMethod
type Found = { readonly method: Method; readonly name: string } | { readonly useless: string }

const defaultKeys = ['~/.ssh/id_ed25519', '~/.ssh/id_ecdsa', '~/.ssh/id_rsa']

/**
 * A key file that is named comes alone, unless only the agent can open it; an agent that is named comes alone;
 * else the agent of SSH_AUTH_SOCK comes first, then the default key files.
 * @throws TransportError where nothing can be shown, with what to do
 */
export async function findCredentials({ keyFile, passphraseFile, agent }: SshOptions): Promise<Credentials> {
  const passphrase =
    passphraseFile === undefined
      ? undefined
      : (await readable('passphraseFile', passphraseFile)).toString().trimEnd()
  const socket = agent ?? process.env.SSH_AUTH_SOCK
  const found: Found[] = []
  if (keyFile !== undefined) {
    const key = keyOf(await readable('keyFile', keyFile), keyFile, passphrase)
    found.push(key)
    if ('useless' in key && socket) found.push(await ofAgent(socket))
  } else {
    if (socket) found.push(await ofAgent(socket))
    if (agent === undefined)
      for (const path of defaultKeys) {
        const text = await readFile(fromHome(path)).catch(() => undefined)
        if (text) found.push(keyOf(text, path, passphrase))
      }
  }
  const useful = found.filter((one) => 'method' in one)
  const useless = found.flatMap((one) => ('useless' in one ? [one.useless] : []))
  if (useful.length === 0)
    throw new TransportError(
      useless.join('; ') ||
        `there is no key: neither an agent (SSH_AUTH_SOCK) nor one of ${defaultKeys.join(', ')}; make one by ssh-keygen -t ed25519 and bring it there by ssh-copy-id, or name it by ssh.keyFile`
    )
  return {
    methods: (user) => useful.map(({ method }) => method(user)),
    shown: useful.map(({ name }) => name),
    useless
  }
}

const readable = (key: string, path: string): Promise<Buffer> =>
  readFile(fromHome(path)).catch((error: Error) => {
    throw new TransportError(`ssh.${key}: ${error.message}`)
  })

function keyOf(text: Buffer, path: string, passphrase: string | undefined): Found {
  const key = ssh2.utils.parseKey(text, passphrase) as ParsedKey | Error
  if (!(key instanceof Error))
    return { name: path, method: (username) => ({ type: 'publickey', username, key }) }
  if (/no passphrase given/.test(key.message))
    return {
      useless: `${path} is encrypted; load it into an agent: eval "$(ssh-agent)" && ssh-add ${path}, or give ssh.passphraseFile`
    }
  if (passphrase !== undefined && /passphrase|integrity|bad decrypt/i.test(key.message))
    return { useless: `${path} is not opened by the passphrase of ssh.passphraseFile` }
  return { useless: `${path} is no private key that can be read: ${key.message}` }
}

async function ofAgent(path: string): Promise<Found> {
  const socket = fromHome(path)
  const agent = ssh2.createAgent(socket)
  const keys = await new Promise<number | Error>((resolve) =>
    agent.getIdentities((error, found) => resolve(error ?? found?.length ?? 0))
  )
  if (keys instanceof Error) return { useless: `the agent at ${socket} does not answer: ${keys.message}` }
  if (keys === 0) return { useless: `the agent at ${socket} holds no key; load one by ssh-add` }
  return {
    name: `the agent (${keys} ${keys === 1 ? 'key' : 'keys'})`,
    method: (username) => ({ type: 'agent', username, agent })
  }
}
