import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { callOptions, traced, type ApiContext } from '../context.ts'

/** `/updateCache`: there is no cache to be updated; answered as the reference answers it. */
export const updateCacheRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (app) => {
  app.route({
    method: ['POST', 'GET'],
    url: '/updateCache',
    config: { textBody: true },
    schema: {
      summary: 'Nothing: this server keeps no status.',
      response: { 200: { type: 'string' } }
    },
    handler: (request, reply) =>
      traced(request, 'UpdateCacheAPI', { 'session.node': callOptions(request).node ?? '' }, async () =>
        reply.type('text/plain; charset=utf-8').send('Updated cache')
      )
  })
}
