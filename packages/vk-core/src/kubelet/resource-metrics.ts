/**
 * `/metrics/resource` in the words of the kubelet; names, labels and millisecond timestamps are a fixed contract of
 * metrics-server. A backend that measures nothing yields no figure: a zero would be believed.
 * Source: k8s.io/kubernetes/pkg/kubelet/metrics/collectors/resource_metrics.go.
 */
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { renderFamily, type Sample } from './prometheus.ts'

export function renderResourceMetrics(pods: readonly Pod[], now: number): string {
  const started: Sample[] = []
  for (const { metadata, status } of pods)
    for (const { name, state } of status?.containerStatuses ?? []) {
      const startedAt = Date.parse(state?.running?.startedAt ?? '')
      if (Number.isNaN(startedAt)) continue
      const labels = { container: name, namespace: metadata.namespace ?? '', pod: metadata.name ?? '' }
      started.push({ labels, value: startedAt / 1000, at: now })
    }
  return (
    renderFamily(
      'container_start_time_seconds',
      'gauge',
      '[STABLE] Start time of the container since unix epoch in seconds',
      started
    ) +
    renderFamily(
      'resource_scrape_error',
      'gauge',
      '[STABLE] 1 if there was an error while getting container metrics, 0 otherwise',
      [{ value: 0 }]
    )
  )
}
