import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { KubeClient } from '../kube/index.ts'
import { TtlCache } from './ttl-cache.ts'

/** Who is calling, as the API server names them. */
export interface User {
  readonly username: string
  readonly uid?: string
  readonly groups: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

export interface AuthenticatorOptions {
  readonly kube: Pick<KubeClient, 'create'>
  /** Whether the listener verifies client certificates against the cluster's client CA. */
  readonly trustsClientCertificates: () => boolean
  readonly now?: () => number
}

const tokenTtlMs = 2 * 60_000

interface TokenReview {
  readonly status?: {
    readonly authenticated?: boolean
    readonly user?: Partial<User>
  }
}

/** By client certificate (CN is the user, O the groups), else by bearer token (TokenReview, remembered 2 min). */
export function createAuthenticator(options: AuthenticatorOptions) {
  const tokens = new TtlCache<User | undefined>({ ...(options.now && { now: options.now }) })

  return async function authenticate(request: IncomingMessage): Promise<User | undefined> {
    if (options.trustsClientCertificates()) {
      const user = certificateUser(request.socket as TLSSocket)
      if (user) return user
    }
    const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
    if (!token) return undefined
    const key = createHash('sha256').update(token).digest('base64')
    return tokens.get(
      key,
      () => review(token),
      () => tokenTtlMs
    )
  }

  async function review(token: string): Promise<User | undefined> {
    const { status } = await options.kube.create<TokenReview>('/apis/authentication.k8s.io/v1/tokenreviews', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token }
    })
    const user = status?.authenticated ? status.user : undefined
    return user?.username ? { ...user, username: user.username, groups: user.groups ?? [] } : undefined
  }
}

function certificateUser(socket: TLSSocket): User | undefined {
  if (!socket.encrypted || !socket.authorized) return undefined
  const { subject } = socket.getPeerCertificate()
  const username = one(subject?.CN)
  if (!username) return undefined
  // Node answers a list where an attribute is there several times, against its types.
  return { username, groups: ([] as string[]).concat(subject.O ?? []).concat('system:authenticated') }
}

const one = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value
