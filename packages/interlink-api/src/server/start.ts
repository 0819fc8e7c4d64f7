import type { Server } from 'node:https'
import type { FastifyBaseLogger } from 'fastify'
import { ConfigError } from '../config/yaml.ts'
import { buildApiServer } from './app.ts'
import type { ApiConfig, ApiConfigInput } from './config.ts'
import { isLocal, listen, listenTarget, type ListenTarget } from './listen.ts'
import { resolveApiConfig } from './load-config.ts'
import { followTls, readTls } from './tls.ts'

export interface RunningApi {
  /** Where it is reached; with port 0 the one that was taken. */
  readonly url: string
  /** Stops accepting, lets calls under way end, ends streams. */
  close(): Promise<void>
}

export interface StartApiOptions {
  readonly logger?: FastifyBaseLogger
  /** Milliseconds between two looks at the TLS files. @default 5000 */
  readonly tlsPollMs?: number
  /** @default 120000 */
  readonly requestTimeoutMs?: number
}

/**
 * Starts the API server.
 * @throws ConfigError for a configuration that must not be served, such as a public address without authentication.
 */
export async function startApi(input: ApiConfigInput, options: StartApiOptions = {}): Promise<RunningApi> {
  const config = resolveApiConfig(input)
  const target = listenTarget(config.listen)
  checkExposure(config, target)
  const files = target.kind === 'tcp' ? config.tls : undefined
  const app = await buildApiServer(config, {
    ...(options.logger && { logger: options.logger }),
    ...(options.requestTimeoutMs !== undefined && { requestTimeoutMs: options.requestTimeoutMs }),
    ...(files && { tls: await readTls(files) })
  })
  try {
    if (files) {
      const stop = await followTls(files, app.server as unknown as Server, app.log, options.tlsPollMs)
      app.addHook('onClose', async () => stop())
    }
    const url = await listen(app, target, Number.parseInt(config.socketMode, 8))
    return { url, close: () => app.close() }
  } catch (error) {
    await app.close()
    throw error
  }
}

function checkExposure(config: ApiConfig, target: ListenTarget): void {
  if (target.kind === 'tcp' && target.tls !== Boolean(config.tls))
    throw new ConfigError(
      target.tls
        ? 'listen: https needs tls.certFile and tls.keyFile'
        : 'tls: it is configured, but listen does not begin with https://',
      { field: 'listen' }
    )
  const authenticated = config.auth?.tokenFile ?? config.auth?.oidc ?? config.tls?.clientCaFile
  if (isLocal(target) || authenticated || config.insecure) return
  throw new ConfigError(
    `listen: ${config.listen} is reachable from outside and nobody is asked who they are; ` +
      'configure auth.tokenFile, auth.oidc or tls.clientCaFile, listen on loopback or a unix socket, or say insecure: true',
    { field: 'listen' }
  )
}
