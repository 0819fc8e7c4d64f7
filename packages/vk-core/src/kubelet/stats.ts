import type { FastifyPluginAsync } from 'fastify'
import type { PodView } from '../pods/types.ts'
import { prometheusType } from './prometheus.ts'
import { renderResourceMetrics } from './resource-metrics.ts'
import { statsSummary } from './stats-summary.ts'

export const stats: FastifyPluginAsync<{ readonly view: PodView; readonly nodeName: string }> = async (
  app,
  { view, nodeName }
) => {
  const startedAt = new Date().toISOString()
  app.get('/stats/summary', async () => statsSummary(nodeName, startedAt, view.list()))
  app.get('/metrics/resource', async (_request, reply) =>
    reply.type(prometheusType).send(renderResourceMetrics(view.list(), Date.now()))
  )
}
