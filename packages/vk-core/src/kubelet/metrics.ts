import type { FastifyPluginAsync } from 'fastify'
import type { Metrics } from '@interlink-ts/interlink-api/telemetry'
import type { KubeletPods } from './pods-of.ts'
import { prometheusType, renderFamily } from './prometheus.ts'

const startedAt = Date.now() / 1000 - process.uptime()

/** `/metrics`: this process, its pods, and what the node counts. */
export const metrics: FastifyPluginAsync<{
  readonly pods: KubeletPods
  readonly registry: Pick<Metrics, 'render'>
}> = async (app, { pods, registry }) => {
  app.get('/metrics', async (_request, reply) => {
    const { user, system } = process.cpuUsage()
    const own = [
      renderFamily('process_resident_memory_bytes', 'gauge', 'Resident memory size in bytes.', [
        { value: process.memoryUsage.rss() }
      ]),
      renderFamily('process_cpu_seconds_total', 'counter', 'User and system CPU time spent in seconds.', [
        { value: (user + system) / 1e6 }
      ]),
      renderFamily('process_start_time_seconds', 'gauge', 'Start time of the process since unix epoch.', [
        { value: startedAt }
      ]),
      renderFamily('interlink_node_pods', 'gauge', 'Pods of a virtual node by phase.', countPods(pods))
    ]
    return reply.type(prometheusType).send(own.join('') + registry.render())
  })
}

function countPods(pods: KubeletPods) {
  const counts = new Map<string, { labels: { node: string; phase: string }; value: number }>()
  for (const { spec, status } of pods.list()) {
    const labels = { node: spec?.nodeName ?? '', phase: status?.phase ?? 'Pending' }
    const key = `${labels.node}/${labels.phase}`
    const count = counts.get(key) ?? { labels, value: 0 }
    count.value++
    counts.set(key, count)
  }
  return [...counts.values()]
}
