import { X509Certificate } from 'node:crypto'
import type { ConnectionOptions } from 'node:tls'

/** PEM texts. */
export interface IncusTls {
  /** By which Incus knows the client. */
  readonly cert: string
  readonly key: string
  /** The certificate of the server, or of who signed it. @default the system's authorities */
  readonly ca?: string
}

/** Where a server is and how it is reached. */
export interface IncusServer {
  /** `unix:///var/lib/incus/unix.socket` or `https://host:8443` */
  readonly url: string
  readonly tls?: IncusTls
}

export const socketOf = ({ url }: IncusServer): string | undefined =>
  url.startsWith('unix://') ? url.slice('unix://'.length) : undefined

/**
 * A server's own certificate is trusted for what it is, whatever names it holds: Incus makes one with the host's name
 * of the day of its installation, and remotes are pinned to it.
 */
export function tlsOf({ tls }: IncusServer): ConnectionOptions {
  if (!tls) return {}
  const { cert, key, ca } = tls
  return { cert, key, ...(ca === undefined ? {} : { ca, checkServerIdentity: () => undefined }) }
}

/** From when until when Incus knows a client by its certificate. */
export function validityOf({ cert }: Pick<IncusTls, 'cert'>) {
  const { validFrom, validTo } = new X509Certificate(cert)
  const now = Date.now()
  return { validFrom, validTo, isValid: Date.parse(validFrom) <= now && now < Date.parse(validTo) }
}
