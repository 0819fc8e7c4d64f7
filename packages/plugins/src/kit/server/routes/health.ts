import type { FastifyPluginAsync } from 'fastify'
import type { PluginContext } from '../build-plugin-server.ts'

/** `GET /healthz` and `GET /metrics`. */
export const healthRoutes: FastifyPluginAsync<PluginContext> = async (app, { backend, keeper, metrics }) => {
  const jobs = metrics.gauge('interlink_plugin_jobs', 'Jobs, by what is known of them')
  const damaged = metrics.gauge('interlink_plugin_damaged_jobs', 'Job directories that cannot be read')
  app.get('/healthz', async () => ({
    status: 'ok',
    backend: backend.name,
    jobs: keeper.size,
    damaged: keeper.damaged.size,
    ...(keeper.unreachable
      ? {
          unreachable: {
            since: new Date(keeper.unreachable.since).toISOString(),
            reason: keeper.unreachable.reason
          }
        }
      : {})
  }))
  app.get('/metrics', async (_request, reply) => {
    for (const [state, count] of Object.entries(keeper.counts())) jobs.set(count, { state })
    damaged.set(keeper.damaged.size)
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(metrics.render())
  })
}
