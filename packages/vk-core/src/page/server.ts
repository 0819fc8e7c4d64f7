import type { AddressInfo } from 'node:net'
import fastify, { LogController, type FastifyBaseLogger } from 'fastify'
import type { PageConfig } from '../config.ts'
import { VkError } from '../errors.ts'
import { pageAssets } from './assets.ts'
import { hostGuard } from './host-guard.ts'
import { pageLive } from './live.ts'
import type { PageSource } from './page-feed.ts'

export interface PageServer {
  readonly url: string
  close(): Promise<void>
}

/** Serves the page of one process's nodes, on loopback unless the configuration insists. */
export async function startPage(
  { address, port, hosts }: Pick<PageConfig, 'address' | 'port' | 'hosts'>,
  sources: readonly PageSource[],
  log: FastifyBaseLogger
): Promise<PageServer> {
  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
    requestTimeout: 30_000,
    exposeHeadRoutes: false
  })
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof VkError)
      return reply.code(error.status).send({ code: error.code, message: error.message })
    request.log.warn({ err: error }, 'page request failed')
    return reply
      .code(502)
      .send({ code: 'VK_LOG_FAILED', message: error instanceof Error ? error.message : '' })
  })
  await app.register(hostGuard, { hosts: [...hosts, address] })
  await app.register(pageAssets)
  await app.register(pageLive, { sources })
  await app.listen({ host: address, port })
  const bound = app.server.address() as AddressInfo
  return {
    url: `http://${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}/`,
    close: () => app.close()
  }
}
