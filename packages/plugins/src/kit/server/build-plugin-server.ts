import { randomUUID } from 'node:crypto'
import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { InterlinkError, toBody } from '@interlink-ts/interlink-api/errors'
import { routeUpgrades } from '@interlink-ts/interlink-api/streams'
import { createMetrics, type Metrics } from '@interlink-ts/interlink-api/telemetry'
import { parseJson, sessionHeader } from '@interlink-ts/interlink-api/wire'
import type { Backend } from '../backend.ts'
import type { JobKeeper } from '../jobs/job-keeper.ts'
import { requireToken } from './auth.ts'
import { tellError } from './errors-to-json.ts'
import { createRoutes } from './routes/create.ts'
import { deleteRoutes } from './routes/delete.ts'
import { ephemeralRoutes } from './routes/ephemeral.ts'
import { healthRoutes } from './routes/health.ts'
import { logRoutes } from './routes/logs.ts'
import { deviceRoutes, statusRoutes, usageRoutes } from './routes/status.ts'
import { streamRoutes } from './routes/streams.ts'
import { watchRoutes } from './routes/watch.ts'

/** What the routes share. */
export interface PluginContext {
  readonly backend: Backend
  readonly keeper: JobKeeper
  readonly metrics: Metrics
  /** Of this package, for the ping. */
  readonly version: string
  readonly heartbeatMs: number
  readonly bodyLimit: number
}

export interface PluginServerOptions {
  readonly backend: Backend
  readonly keeper: JobKeeper
  readonly version: string
  readonly log: FastifyBaseLogger
  /** @default 10000 */
  readonly heartbeatMs?: number
  /** Bytes. @default 32 MiB */
  readonly bodyLimit?: number
  /** Asked of every call but `/healthz`. */
  readonly tokenFile?: string
}

const defaultBodyLimit = 32 * 1024 * 1024
/** Until a request has come whole; answers may take as long as they will. */
const requestTimeoutMs = 120_000

/** The interLink protocol, plugin side, over a keeper of jobs. Not listening yet. */
export function buildPluginServer(options: PluginServerOptions): FastifyInstance {
  const bodyLimit = options.bodyLimit ?? defaultBodyLimit
  const app = fastify({
    loggerInstance: options.log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit,
    requestTimeout: requestTimeoutMs,
    forceCloseConnections: true,
    requestIdHeader: sessionHeader,
    genReqId: () => `Request-${randomUUID()}`
  })
  const metrics = createMetrics('interlink-plugin')
  const context: PluginContext = {
    backend: options.backend,
    keeper: options.keeper,
    metrics,
    version: options.version,
    heartbeatMs: options.heartbeatMs ?? 10_000,
    bodyLimit
  }

  routeUpgrades(app as unknown as FastifyInstance)
  // The protocol asks with GET and a body.
  app.addHttpMethod('GET', { hasBody: true, overrideExisting: true })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, body === '' ? undefined : parseJson(body as string))
    } catch (error) {
      done(error as Error)
    }
  })
  app.setNotFoundHandler((request) => {
    throw new InterlinkError('IL_ROUTE_NOT_FOUND', {
      method: request.method,
      path: request.url.split('?')[0]
    })
  })
  app.setErrorHandler((error, request, reply) => {
    const known = tellError(error, request, bodyLimit)
    return reply.code(known.status).send(toBody(known, request.id))
  })
  const seconds = metrics.histogram('interlink_plugin_http_seconds', 'Time to answer a call')
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown'
    seconds.record(reply.elapsedTime / 1000, { route, status: reply.statusCode })
    request.log.debug(
      { route, status: reply.statusCode, ms: reply.elapsedTime, session: request.id },
      'answered'
    )
  })
  if (options.tokenFile !== undefined) requireToken(app, options.tokenFile)

  const families = [
    createRoutes,
    statusRoutes,
    usageRoutes,
    deviceRoutes,
    deleteRoutes,
    ephemeralRoutes,
    logRoutes,
    watchRoutes,
    streamRoutes,
    healthRoutes
  ]
  for (const routes of families) app.register(routes, context)
  return app
}
