import type { FastifyInstance } from 'fastify'
import { sessionHeader } from '../wire/messages.ts'
import type { Metrics } from '../telemetry/metrics.ts'

/** Counts and times every call, by route and never by pod, and echoes the session id. */
export function measure(app: FastifyInstance, metrics: Metrics): void {
  const requests = metrics.counter('interlink_api_requests', 'Calls by route, method and status.')
  const seconds = metrics.histogram(
    'interlink_api_request_duration_seconds',
    'Time until the answer was sent.'
  )
  app.addHook('onRequest', (request, reply, done) => {
    reply.header(sessionHeader, request.id)
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'none'
    requests.add(1, { route, method: request.method, status: reply.statusCode })
    if (route !== '/watch' && route !== '/getLogs') seconds.record(reply.elapsedTime / 1000, { route })
    request.log.debug({ route, method: request.method, status: reply.statusCode }, 'request served')
    done()
  })
}
