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
      renderFamily('nodejs_heap_size_used_bytes', 'gauge', 'Heap in use.', [
        { value: process.memoryUsage().heapUsed }
      ]),
      renderFamily(
        'nodejs_active_resources',
        'gauge',
        'What keeps this process alive, by kind.',
        countResources()
      ),
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

/** Named as the clients of Prometheus for Node.js name it. */
function countResources() {
  const counts = new Map<string, number>()
  for (const type of process.getActiveResourcesInfo()) counts.set(type, (counts.get(type) ?? 0) + 1)
  return [...counts].map(([type, value]) => ({ labels: { type }, value }))
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
