import { readFile } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { Client } from 'ssh2'
import { fromHome } from './home.ts'
import { fingerprint, judgeHostKey, knownKeyTypes, type HostVerdict } from './known-hosts.ts'
import { findCredentials, type Credentials } from './ssh-credentials.ts'
import { nameOf, type Host, type SshOptions } from './ssh-options.ts'
import { TransportError } from './transport.ts'

const readyTimeout = 20_000
const keepaliveCountMax = 3
/** As ssh(1) reads them. */
const knownHostsFiles = ['~/.ssh/known_hosts', '/etc/ssh/ssh_known_hosts']

interface Way {
  readonly options: SshOptions
  readonly credentials: Credentials
  /** Instead of known_hosts. */
  readonly hostKey?: string | undefined
  /** Through which the host is reached; default: directly. */
  readonly sock?: Duplex
  readonly onEnd: (why: Error) => void
}

/** A connection that is ready, through the jump host where there is one. `onEnd` is called once, when it is gone. */
export async function connectSsh(options: SshOptions, onEnd: (why: Error) => void): Promise<Client> {
  const { jump, hostKey } = options
  const credentials = await findCredentials(options).catch((error: Error) => {
    throw new TransportError(`ssh ${nameOf(options)}: ${error.message}`, { cause: error })
  })
  if (!jump) return open(options, { options, credentials, hostKey, onEnd })
  const first = await open(jump, { options, credentials, onEnd: () => {} })
  try {
    const sock = await new Promise<Duplex>((resolve, reject) =>
      first.forwardOut('127.0.0.1', 0, options.host, options.port, (error, stream) =>
        error
          ? reject(
              new TransportError(
                `ssh ${nameOf(jump)}: the jump host does not reach ${options.host}:${options.port}: ${error.message}`
              )
            )
          : resolve(stream)
      )
    )
    return await open(options, {
      options,
      credentials,
      hostKey,
      sock,
      onEnd: (why) => {
        first.end()
        onEnd(why)
      }
    })
  } catch (error) {
    first.end()
    throw error
  }
}

async function open(target: Host, { options, credentials, hostKey, sock, onEnd }: Way): Promise<Client> {
  const files = options.knownHostsFile === undefined ? knownHostsFiles : [options.knownHostsFile]
  const texts = files.map((file) => readFile(fromHome(file), 'utf8').catch(() => ''))
  const known = hostKey === undefined ? (await Promise.all(texts)).join('\n') : ''
  const keyTypes = knownKeyTypes(known, target.host, target.port).flatMap(signaturesOf)
  let refused: string | undefined
  const client = new Client()
  const hostVerifier = (key: Buffer): boolean => {
    const verdict: HostVerdict =
      hostKey === undefined
        ? judgeHostKey(known, target.host, target.port, key)
        : fingerprint(key) === hostKey
          ? 'known'
          : 'changed'
    if (verdict !== 'known') refused = hostKeyRefused(verdict, target, key, hostKey ?? files[0]!)
    return verdict === 'known'
  }
  return new Promise((resolve, reject) => {
    let ready = false
    let why: Error | undefined
    client.on('error', (error) => (why = error))
    client.once('ready', () => {
      ready = true
      client.setNoDelay(true)
      resolve(client)
    })
    client.once('close', () => {
      const reason = refused ?? (why ? inWords(why, target, credentials) : 'the connection was closed')
      const error = new TransportError(`ssh ${nameOf(target)}: ${reason}`, { cause: why })
      if (ready) onEnd(error)
      else reject(error)
    })
    try {
      client.connect({
        readyTimeout,
        keepaliveInterval: options.keepAliveSeconds * 1000,
        keepaliveCountMax,
        host: target.host,
        port: target.port,
        username: target.user,
        authHandler: credentials.methods(target.user),
        hostVerifier,
        ...(sock === undefined ? {} : { sock: sock as never }),
        // The host shows one of its keys: it has to be one of those that are known.
        ...(keyTypes.length === 0 ? {} : { algorithms: { serverHostKey: keyTypes as never } })
      })
    } catch (error) {
      reject(new TransportError(`ssh ${nameOf(target)}: ${(error as Error).message}`, { cause: error }))
    }
  })
}

/** A type of key, as the algorithms that sign with it, RFC 8332; none where we know none. */
function signaturesOf(type: string): string[] {
  if (type === 'ssh-rsa') return ['rsa-sha2-512', 'rsa-sha2-256']
  return /^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521))$/.test(type) ? [type] : []
}

function inWords(error: Error, target: Host, { shown, useless }: Credentials): string {
  const { code, level } = error as NodeJS.ErrnoException & { level?: string }
  if (level === 'client-authentication')
    return (
      `the login is refused with ${shown.join(' and ')}${useless.map((one) => `; ${one}`).join('')}. ` +
      `Is ${target.user} the user there, and the key in its ~/.ssh/authorized_keys? Try: ssh -p ${target.port} ${target.user}@${target.host}`
    )
  if (code === 'ECONNREFUSED') return `nothing listens on port ${target.port}; is sshd on another one?`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return `the name ${target.host} is not known; check it, and the DNS of this machine`
  if (/^(EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)$/.test(code ?? '') || level === 'client-timeout')
    return `no answer (${error.message}); is a VPN or a jump host (ssh.jump) needed?`
  return error.message
}

function hostKeyRefused(verdict: HostVerdict, target: Host, key: Buffer, where: string): string {
  const shown = `its key ${fingerprint(key)}`
  if (verdict === 'unknown')
    return (
      `${shown} is not in ${where}. Compare it with what the centre publishes, then add it by ` +
      `ssh -p ${target.port} ${target.user}@${target.host}, or ssh-keyscan -p ${target.port} ${target.host} >>${where}`
    )
  if (verdict === 'revoked') return `${shown} is revoked in ${where}`
  return `${shown} is not the one of ${where}: somebody may be in between, or the host was installed anew`
}
