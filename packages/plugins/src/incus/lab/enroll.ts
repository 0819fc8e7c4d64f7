import { connect } from 'node:tls'
import { PluginError } from '../../errors.ts'
import { IncusConnection, IncusError } from '../rest/index.ts'
import { fingerprintOf } from './client-configuration.ts'
import type { Remotes } from './remotes.ts'
import { checkName, printable } from './scope.ts'

export interface Token {
  readonly fingerprint: string
  /** `host:port` */
  readonly addresses: readonly string[]
  readonly secret: string
  readonly text: string
}

const tokenFix = 'make one on the server by: incus config trust add NAME'

/** What `incus config trust add` prints; its last line counts. @throws PluginError LAB_INVALID, which never quotes it */
export function readToken(given: string): Token {
  const text = given.trim().split('\n').at(-1)!.trim()
  try {
    const { fingerprint, addresses, secret } = JSON.parse(
      Buffer.from(text, 'base64').toString()
    ) as Partial<Token>
    if (typeof fingerprint === 'string' && typeof secret === 'string' && Array.isArray(addresses))
      return { fingerprint, addresses, secret, text }
  } catch {
    // Said below.
  }
  throw new PluginError('LAB_INVALID', { field: 'token', reason: `it is none; ${tokenFix}` })
}

export interface EnrollWish {
  readonly name: string
  /** `host` or `host:port`; absent: the first of the token's that answers. */
  readonly address?: string
  readonly port?: number
  /** A word of the server's owner; absent where the server trusts this client's certificate already. */
  readonly token?: Token
  /** Of the server's certificate, where there is no token. */
  readonly fingerprint?: string
  readonly project?: string
}

export interface Enrolled {
  readonly remote: string
  readonly address: string
  readonly fingerprint: string
  /** Of the server. */
  readonly version: string
}

/**
 * Makes a server a remote: its certificate has to be the one that the token or the fingerprint names, before it is told
 * anything. Nothing is left of one that refuses.
 */
export async function enrollRemote(remotes: Remotes, wish: EnrollWish): Promise<Enrolled> {
  const { configuration } = remotes
  const name = checkName('remote', wish.name)
  if (configuration.remotes.some((entry) => entry.name === name))
    throw new PluginError('LAB_EXISTS', {
      kind: 'remote',
      name,
      fix: `interlink lab remote delete ${name} takes it away first`
    })
  const expected = wish.token?.fingerprint ?? wish.fingerprint?.toLowerCase().replaceAll(':', '')
  if (expected === undefined)
    throw new PluginError('LAB_INVALID', {
      field: 'token',
      reason: `there is none; ${tokenFix}, and give it by --token-file or on standard input`
    })
  const { host, certificate } = await reach(name, wish)
  const found = fingerprintOf(certificate)
  if (found !== expected)
    throw new PluginError('LAB_UNTRUSTED', {
      remote: name,
      reason: `the server at ${host} shows the certificate ${found}, expected ${expected}`,
      fix: 'somebody else answers there, or the token is of another server'
    })
  const url = `https://${host}`
  const identity = await configuration.identity()
  const incus = new IncusConnection({ url, tls: { ...identity, ca: certificate } }, { timeoutMs: 15_000 })
  try {
    if (wish.token)
      await incus
        .change('POST', '/1.0/certificates', { json: { type: 'client', trust_token: wish.token.text } })
        .catch((error: unknown) => {
          if (error instanceof IncusError && /already/i.test(error.message)) return
          throw error
        })
    const { auth, environment } = await incus.get<{
      auth: string
      environment?: { server_version?: string }
    }>('/1.0')
    if (auth !== 'trusted') throw new IncusError(403, 'the server does not know this client')
    await configuration.add(
      { name, address: url, protocol: 'incus', project: wish.project ?? 'default' },
      certificate
    )
    return { remote: name, address: url, fingerprint: found, version: environment?.server_version ?? '' }
  } catch (error) {
    if (!(error instanceof IncusError)) throw error
    throw new PluginError(
      'LAB_UNTRUSTED',
      { remote: name, reason: error.message, fix: `a token works once, and may expire; ${tokenFix}` },
      error
    )
  } finally {
    await incus.close()
  }
}

/** The first address that answers, with the certificate that it shows. */
async function reach(name: string, { address, port = 8443, token }: EnrollWish) {
  const hosts = address === undefined ? (token?.addresses ?? []) : [hostOf(address, port)]
  const reasons: string[] = []
  for (const host of hosts)
    try {
      return { host, certificate: await shownCertificate(host) }
    } catch (error) {
      reasons.push(`${host}: ${(error as Error).message}`)
    }
  throw new PluginError('LAB_AWAY', {
    remote: name,
    reason: reasons.join('; ') || 'no address is known',
    fix: 'give the address that this machine reaches: interlink lab remote enroll NAME ADDRESS PORT'
  })
}

/** @throws PluginError LAB_INVALID */
export function hostOf(address: string, port: number): string {
  const plain = address.replace(/^https:\/\//, '').replace(/\/$/, '')
  const isHost = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*)(?::\d{1,5})?$/.test(plain)
  if (!isHost || !(port > 0 && port < 65536))
    throw new PluginError('LAB_INVALID', {
      field: 'address',
      reason: `"${printable(address)}" is none: expected host or host:port`
    })
  return /:\d+$/.test(plain) ? plain : `${plain}:${port}`
}

/** PEM; who it is of is for the caller to decide. */
function shownCertificate(address: string): Promise<string> {
  const { hostname, port } = new URL(`https://${address}`)
  const host = hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port || 443), rejectUnauthorized: false, timeout: 10_000 })
    socket.once('secureConnect', () => {
      const { raw } = socket.getPeerCertificate()
      socket.destroy()
      resolve(
        `-----BEGIN CERTIFICATE-----\n${raw
          .toString('base64')
          .match(/.{1,64}/g)!
          .join('\n')}\n-----END CERTIFICATE-----\n`
      )
    })
    socket.once('timeout', () => socket.destroy(new Error('no answer within 10 s')))
    socket.once('error', reject)
  })
}
