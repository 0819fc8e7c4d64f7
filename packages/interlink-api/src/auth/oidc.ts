import { createRemoteJWKSet, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import { InterlinkError } from '../errors.ts'

export interface OidcOptions {
  /** As in the token's `iss`; `<issuer>/.well-known/openid-configuration` names the keys. */
  readonly issuer: string
  readonly audience: string
  readonly claims?: Readonly<Record<string, string>>
  readonly groups?: readonly string[]
  readonly groupsClaim: string
}

export interface OidcVerifier {
  /** @throws InterlinkError `IL_UNAUTHENTICATED`, `IL_FORBIDDEN`, or `IL_UNREACHABLE` when the issuer's keys are. */
  verify(token: string): Promise<JWTPayload>
}

const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']

/** The issuer is asked at the first token; its keys are kept and read again when a token names one that is not there. */
export function createOidcVerifier(options: OidcOptions): OidcVerifier {
  const { issuer, audience } = options
  let keys: Promise<JWTVerifyGetKey> | undefined

  const keySet = () => {
    keys ??= discover(issuer).catch((error: unknown) => {
      keys = undefined
      throw new InterlinkError('IL_UNREACHABLE', { server: issuer, reason: (error as Error).message }, error)
    })
    return keys
  }

  return {
    async verify(token) {
      const { payload } = await jwtVerify(token, await keySet(), {
        issuer,
        audience,
        algorithms,
        requiredClaims: ['exp'],
        clockTolerance: 30
      }).catch((error: unknown) => {
        if (error instanceof InterlinkError) throw error
        if (error instanceof errors.JWKSTimeout || !(error instanceof errors.JOSEError))
          throw new InterlinkError(
            'IL_UNREACHABLE',
            { server: issuer, reason: 'its keys cannot be read' },
            error
          )
        throw new InterlinkError('IL_UNAUTHENTICATED', { reason: error.code }, error)
      })
      authorise(payload, options)
      return payload
    }
  }
}

async function discover(issuer: string): Promise<JWTVerifyGetKey> {
  const response = await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {
    signal: AbortSignal.timeout(10_000)
  })
  if (!response.ok) throw new Error(`the issuer answered ${response.status}`)
  const { issuer: named, jwks_uri: uri } = (await response.json()) as { issuer?: unknown; jwks_uri?: unknown }
  if (named !== issuer) throw new Error('the issuer names another issuer')
  if (typeof uri !== 'string') throw new Error('the issuer names no jwks_uri')
  return createRemoteJWKSet(new URL(uri), { timeoutDuration: 10_000, cooldownDuration: 10_000 })
}

function authorise(payload: JWTPayload, { claims = {}, groups, groupsClaim }: OidcOptions): void {
  for (const [name, wanted] of Object.entries(claims))
    if (!valuesOf(payload[name]).includes(wanted))
      throw new InterlinkError('IL_FORBIDDEN', {
        reason: `the token's claim ${name} is not what is required`
      })
  if (groups && !valuesOf(payload[groupsClaim]).some((group) => groups.includes(group)))
    throw new InterlinkError('IL_FORBIDDEN', { reason: `the token is in none of the required groups` })
}

const valuesOf = (claim: unknown): string[] => (Array.isArray(claim) ? claim : [claim]).map(String)
