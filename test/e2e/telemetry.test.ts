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

/** The least an OTLP collector can be: it takes http/json and remembers the spans. */
async function startCollector() {
  const spans: Span[] = []
  const server = createServer((request, answer) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as {
        resourceSpans?: {
          resource: { attributes: { key: string; value: { stringValue?: string } }[] }
          scopeSpans: { spans: { name: string; traceId: string }[] }[]
        }[]
      }
      for (const { resource, scopeSpans } of body.resourceSpans ?? []) {
        const service = resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue ?? ''
        for (const { spans: found } of scopeSpans)
          for (const { name, traceId } of found) spans.push({ service, name, traceId })
      }
      answer.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    spans,
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
        OTEL_BSP_SCHEDULE_DELAY: '200'
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
  }
)
