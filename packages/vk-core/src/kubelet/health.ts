import type { FastifyPluginAsync } from 'fastify'

/** `/healthz` tells that the port serves; whether the backend answers is a condition of the node. */
export const health: FastifyPluginAsync = async (app) => {
  for (const path of ['/healthz', '/healthz/ping', '/healthz/log', '/healthz/syncloop'])
    app.get(path, async (_request, reply) => reply.type('text/plain; charset=utf-8').send('ok'))
}
