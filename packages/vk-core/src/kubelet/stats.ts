import type { FastifyPluginAsync } from 'fastify'
import type { KubeletPods } from './pods-of.ts'
import { prometheusType } from './prometheus.ts'
import { renderResourceMetrics } from './resource-metrics.ts'
import { statsSummary } from './stats-summary.ts'

export const stats: FastifyPluginAsync<{ readonly pods: KubeletPods; readonly nodeName: string }> = async (
  app,
  { pods, nodeName }
) => {
  const startedAt = new Date().toISOString()
  app.get('/stats/summary', async () => statsSummary(nodeName, startedAt, pods.list()))
  app.get('/metrics/resource', async (_request, reply) =>
    reply.type(prometheusType).send(renderResourceMetrics(pods.list(), Date.now()))
  )
}
