import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import { InterlinkError } from '../errors.ts'
import { createOidcVerifier, type OidcOptions } from './oidc.ts'
import { createTokenFile } from './token-file.ts'

export interface AuthOptions {
  /** Bearer tokens that are accepted. */
  readonly tokenFile?: string
  readonly oidc?: OidcOptions
  /** A certificate that the server's TLS has verified is enough. */
  readonly clientCertificates?: boolean
}

/** @throws InterlinkError `IL_UNAUTHENTICATED` or `IL_FORBIDDEN`; never says which token was sent. */
export type Authenticator = (request: IncomingMessage) => Promise<void>

/** Undefined when nothing is configured: everybody who reaches the server is let in. */
export async function createAuthenticator(options: AuthOptions): Promise<Authenticator | undefined> {
  const { tokenFile, oidc, clientCertificates } = options
  if (!tokenFile && !oidc && !clientCertificates) return undefined
  const tokens = tokenFile ? await createTokenFile(tokenFile) : undefined
  const verifier = oidc ? createOidcVerifier(oidc) : undefined

  return async (request) => {
    const { socket } = request
    if (clientCertificates && socket instanceof TLSSocket && socket.authorized) return
    if (!tokens && !verifier)
      throw unauthenticated('a client certificate of the configured authority is required')
    const token = /^Bearer +([^\s]+) *$/i.exec(request.headers.authorization ?? '')?.[1]
    if (!token) throw unauthenticated('a bearer token is required')
    if (await tokens?.accepts(token)) return
    if (!verifier) throw unauthenticated('the bearer token is not known')
    await verifier.verify(token)
  }
}

const unauthenticated = (reason: string) => new InterlinkError('IL_UNAUTHENTICATED', { reason })
