import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { Client, type ConnectConfig } from 'ssh2'
import { fingerprint, judgeHostKey, knownKeyTypes, type HostVerdict } from './known-hosts.ts'
import type { SshOptions } from './ssh-options.ts'
import { TransportError } from './transport.ts'

const readyTimeout = 20_000
const keepaliveInterval = 15_000
const keepaliveCountMax = 3

interface Host {
  readonly host: string
  readonly port: number
  readonly user: string
}

/** A connection that is ready, through the jump host where there is one. `onEnd` is called once, when it is gone. */
export async function connectSsh(options: SshOptions, onEnd: (why: Error) => void): Promise<Client> {
  const shared = await sharedConfig(options)
  if (!options.jump) return open(options, options, shared, onEnd)
  const first = await open(options.jump, { ...options, hostKey: undefined }, shared, () => {})
  try {
    const socket = await new Promise<Duplex>((resolve, reject) =>
      first.forwardOut('127.0.0.1', 0, options.host, options.port, (error, stream) =>
        error ? reject(new TransportError(`${nameOf(options.jump!)}: ${error.message}`)) : resolve(stream)
      )
    )
    return await open(options, options, { ...shared, sock: socket as never }, (why) => {
      first.end()
      onEnd(why)
    })
  } catch (error) {
    first.end()
    throw error
  }
}

export const nameOf = ({ host, port, user }: Host): string =>
  `${user}@${host}${port === 22 ? '' : `:${port}`}`

async function sharedConfig({ keyFile, passphraseFile, agent }: SshOptions): Promise<ConnectConfig> {
  const found = agent ?? (keyFile === undefined ? process.env.SSH_AUTH_SOCK : undefined)
  return {
    readyTimeout,
    keepaliveInterval,
    keepaliveCountMax,
    ...(keyFile === undefined ? {} : { privateKey: await readable('keyFile', keyFile) }),
    ...(passphraseFile === undefined
      ? {}
      : { passphrase: (await readable('passphraseFile', passphraseFile)).toString().trimEnd() }),
    ...(found === undefined ? {} : { agent: found })
  }
}

const readable = (key: string, path: string): Promise<Buffer> =>
  readFile(path).catch((error: Error) => {
    throw new TransportError(`ssh.${key}: ${error.message}`)
  })

async function open(
  target: Host,
  options: Pick<SshOptions, 'knownHostsFile'> & { readonly hostKey?: string | undefined },
  config: ConnectConfig,
  onEnd: (why: Error) => void
): Promise<Client> {
  const file = options.knownHostsFile ?? join(homedir(), '.ssh', 'known_hosts')
  const known = options.hostKey === undefined ? await readFile(file, 'utf8').catch(() => '') : ''
  const types = knownKeyTypes(known, target.host, target.port).filter((type) => type.startsWith('ssh-'))
  let refused: string | undefined
  const client = new Client()
  const hostVerifier = (key: Buffer): boolean => {
    const verdict: HostVerdict =
      options.hostKey === undefined
        ? judgeHostKey(known, target.host, target.port, key)
        : fingerprint(key) === options.hostKey
          ? 'known'
          : 'changed'
    if (verdict !== 'known') refused = hostKeyRefused(verdict, target, key, options.hostKey ?? file)
    return verdict === 'known'
  }
  return new Promise((resolve, reject) => {
    let ready = false
    let why: Error | undefined
    client.on('error', (error) => (why ??= error))
    client.once('ready', () => {
      ready = true
      client.setNoDelay(true)
      resolve(client)
    })
    client.once('close', () => {
      const reason = refused ?? why?.message ?? 'the connection was closed'
      const error = new TransportError(`ssh ${nameOf(target)}: ${reason}`, { cause: why })
      if (ready) onEnd(error)
      else reject(error)
    })
    try {
      client.connect({
        ...config,
        host: target.host,
        port: target.port,
        username: target.user,
        hostVerifier,
        // The host shows one of its keys: it has to be one of those that are known.
        ...(types.includes('ssh-ed25519') ? { algorithms: { serverHostKey: ['ssh-ed25519'] } } : {})
      })
    } catch (error) {
      reject(new TransportError(`ssh ${nameOf(target)}: ${(error as Error).message}`, { cause: error }))
    }
  })
}

function hostKeyRefused(verdict: HostVerdict, target: Host, key: Buffer, where: string): string {
  const shown = `its key ${fingerprint(key)}`
  if (verdict === 'unknown')
    return `${shown} is not in ${where}; compare it with the centre's, then add it: ssh-keyscan -p ${target.port} ${target.host}`
  if (verdict === 'revoked') return `${shown} is revoked in ${where}`
  return `${shown} is not the one of ${where}: somebody may be in between, or the host was installed anew`
}
