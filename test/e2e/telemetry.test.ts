import t from 'tap'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startDevCluster } from '@interlink-ts/dev-cluster'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createKubeClient, loadKubeConfig } from '@interlink-ts/vk-core/kube'
import { eventually } from '../support/eventually.ts'
import { startStack } from '../support/stack.ts'
import { shellPod } from './workloads.ts'

interface Span {
  readonly service: string
  readonly name: string
  readonly traceId: string
}

interface Resource {
  readonly attributes: { key: string; value: { stringValue?: string } }[]
}

const serviceOf = ({ attributes }: Resource) =>
  attributes.find(({ key }) => key === 'service.name')?.value.stringValue ?? ''

interface Point {
  readonly attributes: { key: string; value: { stringValue?: string } }[]
  readonly asInt?: string | number
  readonly asDouble?: number
  readonly count?: string | number
}

interface Metric {
  readonly name: string
  readonly gauge?: { readonly dataPoints: Point[] }
  readonly sum?: { readonly dataPoints: Point[] }
  readonly histogram?: { readonly dataPoints: Point[] }
}

/** The least an OTLP collector can be: it takes http/json and remembers the spans and the metrics. */
async function startCollector() {
  const spans: Span[] = []
  const metrics: Metric[] = []
  const server = createServer((request, answer) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as {
        resourceSpans?: {
          resource: Resource
          scopeSpans: { spans: { name: string; traceId: string }[] }[]
        }[]
        resourceMetrics?: { scopeMetrics: { metrics: Metric[] }[] }[]
      }
      for (const { scopeMetrics } of body.resourceMetrics ?? [])
        metrics.push(...scopeMetrics.flatMap((scope) => scope.metrics))
      for (const { resource, scopeSpans } of body.resourceSpans ?? []) {
        const service = serviceOf(resource)
        for (const { spans: found } of scopeSpans)
          for (const { name, traceId } of found) spans.push({ service, name, traceId })
      }
      answer.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    spans,
    metrics,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => server.close()
  }
}

t.test(
  'one trace goes from the node through the API server to the plugin, and the logs carry its id',
  async (t) => {
    const collector = await startCollector()
    t.teardown(() => collector.close())
    const cluster = await startDevCluster()
    t.teardown(() => cluster.close())
    const kubeconfigPath = join(t.testdir(), 'kubeconfig')
    await writeFile(kubeconfigPath, cluster.kubeconfig, { mode: 0o600 })
    const stack = await startStack({
      kubeconfigPath,
      env: {
        OTEL_TRACES_EXPORTER: 'otlp',
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
        OTEL_BSP_SCHEDULE_DELAY: '200',
        OTEL_METRICS_EXPORTER: 'otlp',
        OTEL_METRIC_EXPORT_INTERVAL: '2000',
        OTEL_METRIC_EXPORT_TIMEOUT: '2000'
      }
    })
    t.teardown(() => stack.stop())
    const kube = createKubeClient(await loadKubeConfig({ path: kubeconfigPath }), { userAgent: 'test' })
    t.teardown(() => kube.close())
    const pods = '/api/v1/namespaces/default/pods'
    await kube.create(pods, shellPod({ name: 'traced', script: 'true' }))
    await eventually(
      async () =>
        (await kube.get<{ status: { phase: string } }>(`${pods}/traced`)).status.phase === 'Succeeded'
    )

    const services = (traceId: string) =>
      new Set(collector.spans.filter((span) => span.traceId === traceId).map((span) => span.service))
    const trace = await eventually(() =>
      collector.spans.map(({ traceId }) => traceId).find((traceId) => services(traceId).size >= 3)
    )
    const names = collector.spans
      .filter((span) => span.traceId === trace)
      .map((span) => `${span.service}: ${span.name}`)
    t.comment(names.join('\n'))
    t.match([...services(trace)].sort().join(' '), /api.*plugin.*vk/i)
    t.match(names.join('\n'), /submit/i, 'down to the submission')
    const logs = (
      await Promise.all((['vk', 'api-0', 'api-1', 'plugin'] as const).map((role) => stack.log(role)))
    ).join('\n')
    t.match(logs, new RegExp(trace), 'a log line carries the trace id')

    const labelsOf = ({ attributes }: Point) =>
      Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue]))
    const arrived = (name: string, right: (points: readonly Point[]) => boolean) =>
      t.resolves(
        eventually(() =>
          collector.metrics.some(
            ({ name: found, gauge, sum, histogram }) =>
              found === name && right((gauge ?? sum ?? histogram)!.dataPoints)
          )
        ),
        name
      )
    await arrived(
      'interlink_vk_queue_depth',
      (points) =>
        points.map((point) => labelsOf(point).queue).join() === 'lifecycle,status' &&
        points.every(({ asInt, asDouble }) => Number(asInt ?? asDouble) >= 0)
    )
    await arrived('interlink_vk_work_seconds', (points) => points.some(({ count }) => Number(count) > 0))
    await arrived('interlink_api_requests', (points) =>
      points.some((point) => labelsOf(point).route === '/create')
    )
  }
)
