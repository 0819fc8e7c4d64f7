import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { metricsContentType } from '../../telemetry/metrics.ts'
import type { ApiContext } from '../context.ts'

/** `/metrics` in the text format of Prometheus. */
export const metricsRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (app, { metrics }) => {
  app.get(
    '/metrics',
    { schema: { summary: 'Metrics of this server.', response: { 200: { type: 'string' } } } },
    async (_request, reply) => reply.type(metricsContentType).send(metrics.render())
  )
}
