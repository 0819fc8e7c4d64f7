import { randomUUID } from 'node:crypto'
import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { TSchema } from 'typebox'
import { createAuthenticator } from '../auth/authenticator.ts'
import { routeUpgrades } from '../streams/upgrades.ts'
import { decode } from '../wire/decode.ts'
import { sessionHeader } from '../wire/messages.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import type { ApiConfig } from './config.ts'
import type { ApiContext } from './context.ts'
import { answerError, answerUnreadable, handleErrors } from './errors-to-json.ts'
import { readBodies } from './read-bodies.ts'
import { createPluginLink } from './plugin-link.ts'
import { measure } from './measure.ts'
import { httpsOptions, type ServerTls } from './tls.ts'
import { createRoutes } from './routes/create.ts'
import { deleteRoutes } from './routes/delete.ts'
import { deviceRoutes } from './routes/devices.ts'
import { ephemeralRoutes } from './routes/ephemeral.ts'
import { healthRoutes } from './routes/health.ts'
import { logRoutes } from './routes/logs.ts'
import { metricsRoutes } from './routes/metrics.ts'
import { openapiRoutes } from './routes/openapi.ts'
import { pingRoutes } from './routes/ping.ts'
import { statusRoutes } from './routes/status.ts'
import { streamRoutes } from './routes/streams.ts'
import { usageRoutes } from './routes/usage.ts'
import { updateCacheRoutes } from './routes/update-cache.ts'
import { watchRoutes } from './routes/watch.ts'

export interface ApiServerOptions {
  readonly logger?: FastifyBaseLogger
  readonly tls?: ServerTls
  /** Until a request has arrived whole; its answer may take as long as it likes. @default 120000 */
  readonly requestTimeoutMs?: number
}

export type ApiServer = FastifyInstance

/** The API server, not listening yet. It keeps nothing about pods: any number of replicas may serve side by side. */
export async function buildApiServer(config: ApiConfig, options: ApiServerOptions = {}): Promise<ApiServer> {
  const { logger, tls, requestTimeoutMs = 120_000 } = options
  const patience = { connectionsCheckingInterval: Math.min(requestTimeoutMs, 30_000) }
  const app = fastify({
    ...(logger ? { loggerInstance: logger } : {}),
    ...(tls ? { https: { ...httpsOptions(tls), ...patience } as never } : { http: patience as never }),
    requestTimeout: requestTimeoutMs,
    clientErrorHandler: answerUnreadable,
    frameworkErrors: (error, request, reply) => void answerError(error, request, reply, config),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'session' }),
    exposeHeadRoutes: false,
    bodyLimit: config.bodyLimit,
    forceCloseConnections: 'idle',
    genReqId: (request) => sessionOf(request.headers[sessionHeader])
  }).withTypeProvider<TypeBoxTypeProvider>()

  app.setValidatorCompiler(({ schema }) => (data) => {
    try {
      return { value: decode(schema as TSchema, data) }
    } catch (error) {
      return { error: error as Error }
    }
  })
  app.setSerializerCompiler(() => JSON.stringify)

  const metrics = createMetrics('interlink-api')
  const plugins = await Promise.all(
    config.plugins.map((plugin) =>
      createPluginLink(plugin, {
        timeoutMs: config.pluginTimeoutSeconds * 1000,
        statusConcurrency: config.statusConcurrency,
        log: app.log
      })
    )
  )
  app.addHook('onClose', async () => {
    await Promise.all(plugins.map((plugin) => plugin.close()))
  })

  const closing = new AbortController()
  app.addHook('preClose', async () => closing.abort())
  // A call that ends while the server closes must not leave a kept-alive connection that the close then waits for.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (closing.signal.aborted) reply.header('connection', 'close')
    done()
  })
  const context: ApiContext = { config, plugins, metrics, closing: closing.signal }

  handleErrors(app, config)
  readBodies(app)
  routeUpgrades(app as unknown as FastifyInstance)
  measure(app, metrics)
  openapiRoutes(app)
  await app.register(healthRoutes, context)
  const authenticate = await createAuthenticator({
    ...config.auth,
    clientCertificates: Boolean(config.tls?.clientCaFile)
  })
  await app.register(async (guarded) => {
    if (authenticate) guarded.addHook('onRequest', (request) => authenticate(request.raw))
    await guarded.register(metricsRoutes, context)
    await guarded.register(createRoutes, context)
    await guarded.register(statusRoutes, context)
    await guarded.register(deleteRoutes, context)
    await guarded.register(ephemeralRoutes, context)
    await guarded.register(logRoutes, context)
    await guarded.register(pingRoutes, context)
    await guarded.register(updateCacheRoutes, context)
    await guarded.register(watchRoutes, context)
    await guarded.register(streamRoutes, context)
    await guarded.register(usageRoutes, context)
    await guarded.register(deviceRoutes, context)
  })
  return app as unknown as ApiServer
}

/** The caller's session id where it is fit to be logged and sent on, else a new one. */
const sessionOf = (header: string | string[] | undefined): string =>
  typeof header === 'string' && /^[\x21-\x7e]{1,128}$/.test(header) ? header : `Request-${randomUUID()}`
