import { readFile } from 'node:fs/promises'
import type { Server } from 'node:https'
import type { FastifyBaseLogger } from 'fastify'
import { followFiles } from '../config/follow-files.ts'
import { ConfigError, whyUnreadable } from '../config/yaml.ts'
import type { ApiConfig } from './config.ts'

/** PEM. With `ca`, clients are asked for a certificate; who shows none needs another kind of authentication. */
export interface ServerTls {
  readonly cert: Buffer
  readonly key: Buffer
  readonly ca?: Buffer
}

type TlsFiles = NonNullable<ApiConfig['tls']>

const minVersion = 'TLSv1.2'

export const httpsOptions = (tls: ServerTls) => ({
  ...tls,
  minVersion,
  requestCert: Boolean(tls.ca),
  rejectUnauthorized: false
})

/** @throws ConfigError */
export async function readTls(tls: TlsFiles): Promise<ServerTls> {
  const read = (path: string, field: string) =>
    readFile(path).catch((error: NodeJS.ErrnoException) => {
      throw new ConfigError(`${field}: ${path} cannot be read: ${whyUnreadable(error)}`, { field }, error)
    })
  return {
    cert: await read(tls.certFile, 'tls.certFile'),
    key: await read(tls.keyFile, 'tls.keyFile'),
    ...(tls.clientCaFile ? { ca: await read(tls.clientCaFile, 'tls.clientCaFile') } : {})
  }
}

/**
 * New connections get what the files hold now; a certificate that does not fit its key changes nothing.
 * @returns ends it
 */
export const followTls = (
  tls: TlsFiles,
  server: Server,
  log: FastifyBaseLogger,
  everyMs?: number
): Promise<() => void> =>
  followFiles(
    [tls.certFile, tls.keyFile, ...(tls.clientCaFile ? [tls.clientCaFile] : [])],
    async () => {
      server.setSecureContext({ ...(await readTls(tls)), minVersion })
      log.info('TLS files read again')
    },
    {
      ...(everyMs !== undefined && { everyMs }),
      onError: (err) => log.warn({ err }, 'TLS files changed and cannot be used')
    }
  )
