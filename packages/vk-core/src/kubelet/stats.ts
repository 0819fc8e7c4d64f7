import type { FastifyPluginAsync } from 'fastify'
import type { KubeletPods } from './pods-of.ts'
import { prometheusType } from './prometheus.ts'
import { renderResourceMetrics } from './resource-metrics.ts'
import { createNodeCpu } from './node-cpu.ts'
import { statsSummary } from './stats-summary.ts'

/** metrics-server waits 10 s for a node. */
const usageTimeoutMs = 8_000

export const stats: FastifyPluginAsync<{ readonly pods: KubeletPods; readonly nodeName: string }> = async (
  app,
  { pods, nodeName }
) => {
  const startedAt = new Date().toISOString()
  app.get('/stats/summary', async () => statsSummary(nodeName, startedAt, pods.list()))
  const cpu = createNodeCpu()
  app.get('/metrics/resource', async (request, reply) => {
    const signal = AbortSignal.timeout(usageTimeoutMs)
    const usage = await pods.usage(signal).catch((err: unknown) => {
      request.log.warn({ err }, 'usage is not known')
      return undefined
    })
    const containers = usage?.flatMap((one) => one.containers) ?? []
    const memoryBytes = containers.reduce((sum, one) => sum + one.memoryBytes, 0)
    const node = usage && pods.measures() ? { cpuSeconds: cpu.take(usage), memoryBytes } : undefined
    return reply.type(prometheusType).send(renderResourceMetrics(pods.list(), usage, node, Date.now()))
  })
}
