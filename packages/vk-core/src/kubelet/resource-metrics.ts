/**
 * `/metrics/resource` in the words of the kubelet; names, labels and millisecond timestamps are a fixed contract of
 * metrics-server. A backend that measures nothing yields no figure: a zero would be believed.
 * Source: k8s.io/kubernetes/pkg/kubelet/metrics/collectors/resource_metrics.go.
 */
import type { Pod, PodUsage } from '@interlink-ts/interlink-api/wire'
import { statusesOf } from './containers.ts'
import { renderFamily, type Sample } from './prometheus.ts'

export interface NodeUsage {
  readonly cpuSeconds: number
  readonly memoryBytes: number
}

/**
 * `usage` is undefined where it could not be asked for. Node figures are those of its pods together, absent where
 * nothing is measured.
 */
export function renderResourceMetrics(
  pods: readonly Pod[],
  usage: readonly PodUsage[] | undefined,
  node: NodeUsage | undefined,
  now: number
): string {
  const started: Sample[] = []
  const cpu: Sample[] = []
  const memory: Sample[] = []
  const usages = new Map(usage?.map((used) => [used.UID, used]))
  for (const pod of pods) {
    const { metadata } = pod
    for (const { name, state } of statusesOf(pod)) {
      const labels = { container: name, namespace: metadata.namespace ?? '', pod: metadata.name ?? '' }
      const used = usages.get(metadata.uid ?? '')
      const own = used?.containers.find((one) => one.name === name)
      if (used && own && state?.running) {
        cpu.push({ labels, value: own.cpuSeconds, at: used.at })
        memory.push({ labels, value: own.memoryBytes, at: used.at })
      }
      const startedAt = Date.parse(state?.running?.startedAt ?? '')
      if (!Number.isNaN(startedAt)) started.push({ labels, value: startedAt / 1000, at: now })
    }
  }
  return (
    renderFamily(
      'container_start_time_seconds',
      'gauge',
      '[STABLE] Start time of the container since unix epoch in seconds',
      started
    ) +
    renderFamily(
      'container_cpu_usage_seconds_total',
      'counter',
      '[STABLE] Cumulative cpu time consumed by the container in core-seconds',
      cpu
    ) +
    renderFamily(
      'container_memory_working_set_bytes',
      'gauge',
      '[STABLE] Current working set of the container in bytes',
      memory
    ) +
    renderFamily(
      'node_cpu_usage_seconds_total',
      'counter',
      '[STABLE] Cumulative cpu time consumed by the node in core-seconds',
      node ? [{ value: node.cpuSeconds, at: now }] : []
    ) +
    renderFamily(
      'node_memory_working_set_bytes',
      'gauge',
      '[STABLE] Current working set of the node in bytes',
      node ? [{ value: node.memoryBytes, at: now }] : []
    ) +
    renderFamily(
      'resource_scrape_error',
      'gauge',
      '[STABLE] 1 if there was an error while getting container metrics, 0 otherwise',
      [{ value: usage ? 0 : 1 }]
    )
  )
}
