import type { Metrics } from '@interlink-ts/interlink-api/telemetry'

export interface PodMetrics {
  timed<T>(queue: string, work: () => Promise<T>): Promise<T>
  patched(): void
}

/** Latency and failures of the two queues, and how many status patches were sent. */
export function createPodMetrics(metrics: Metrics | undefined, node: string): PodMetrics {
  const seconds = metrics?.histogram('interlink_vk_work_seconds', 'Time of one step of work on a pod')
  const failures = metrics?.counter('interlink_vk_work_failures', 'Steps of work on a pod that failed')
  const patches = metrics?.counter('interlink_vk_status_patches', 'Patches of a pod status sent')
  return {
    async timed(queue, work) {
      const begun = performance.now()
      try {
        return await work()
      } catch (error) {
        failures?.add(1, { node, queue })
        throw error
      } finally {
        seconds?.record((performance.now() - begun) / 1000, { node, queue })
      }
    },
    patched: () => patches?.add(1, { node })
  }
}
