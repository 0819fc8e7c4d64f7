import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import t from 'tap'
import { startApi } from '../src/server/index.ts'
import { createMetrics, logMixin, startTelemetry, withSpan } from '../src/telemetry/index.ts'
import { clientOf, double, raw, request, serve } from './helpers.ts'
import { answer, uidOf } from './plugin-double.ts'

interface ReceivedSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly status?: { code?: number }
  readonly attributes: { key: string; value: { stringValue?: string; intValue?: string | number } }[]
}

/** What is sent to an OTLP endpoint over HTTP as JSON. */
async function receiver() {
  const spans: ReceivedSpan[] = []
  const services = new Set<string>()
  const paths = new Set<string>()
  const server = http.createServer((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', () => {
      paths.add(req.url!)
      const { resourceSpans = [] } = JSON.parse(Buffer.concat(chunks).toString('utf8'))
      for (const { resource, scopeSpans } of resourceSpans) {
        for (const { key, value } of resource.attributes)
          if (key === 'service.name') services.add(value.stringValue)
        for (const scope of scopeSpans) spans.push(...scope.spans)
      }
      res.setHeader('content-type', 'application/json').end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, spans, services, paths, close: () => server.close().closeAllConnections() }
}

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

t.test('nothing is started unless the environment asks', async (t) => {
  t.equal(await startTelemetry({ serviceName: 'x', env: {} }), undefined)
  t.equal(await startTelemetry({ serviceName: 'x', env: { OTEL_TRACES_EXPORTER: 'none' } }), undefined)
  const off = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_SDK_DISABLED: 'true' }
  t.equal(await startTelemetry({ serviceName: 'x', env: off }), undefined)
  t.same(logMixin(), {})
})

t.test('without telemetry of its own a server passes the trace of its caller on', async (t) => {
  const plugin = await double(t, (_call, response) => answer(response, []))
  const url = await serve(t, [plugin])
  await raw(url, 'POST', '/pinglink', '', { traceparent, tracestate: 'a=b' })
  t.match(plugin.calls[0]!.headers, { traceparent, tracestate: 'a=b' })
})

t.test('one trace goes from the caller through the server to the plugin, and into the log', async (t) => {
  const otlp = await receiver()
  t.teardown(otlp.close)
  const telemetry = await startTelemetry({
    serviceName: 'interlink-test',
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }
  })
  t.ok(telemetry)
  const lines: { trace_id?: string; msg: string }[] = []
  const logger = pino(
    { level: 'info', mixin: logMixin },
    { write: (line: string) => void lines.push(JSON.parse(line)) }
  )
  const plugin = await double(t, ({ path }, response) =>
    path === '/create'
      ? answer(response, { PodUID: uidOf(1), PodJID: '1' })
      : response.writeHead(500).end('broken')
  )
  const api = await startApi(
    { listen: 'http://127.0.0.1:0', plugins: [{ name: 'p', url: plugin.url }] },
    { logger }
  )
  t.teardown(() => api.close())
  const client = clientOf(t, { url: api.url })
  await withSpan('CreatePodVK', { 'pod.uid': uidOf(1) }, () => client.create(request()))
  await client.status([request().pod]).catch(() => undefined)
  await telemetry!.shutdown()

  const named = (name: string) => otlp.spans.find((span) => span.name === name)!
  const chain = ['CreatePodVK', 'CreateHttpCall', 'CreateAPI', 'CreatePluginCall'].map(named)
  t.ok(
    chain.every((span) => span !== undefined),
    otlp.spans.map(({ name }) => name).join(' ')
  )
  t.equal(new Set(chain.map(({ traceId }) => traceId)).size, 1, 'one trace')
  for (const [index, span] of chain.entries())
    if (index > 0) t.equal(span.parentSpanId, chain[index - 1]!.spanId, span.name)
  const [, trace, parent] = String(plugin.calls[0]!.headers.traceparent).split('-')
  t.equal(trace, chain[0]!.traceId, 'the plugin is told the trace')
  t.equal(parent, chain[3]!.spanId)
  t.equal(lines.find(({ msg }) => msg === 'pod created')?.trace_id, trace)
  const attribute = (span: ReceivedSpan, key: string) => span.attributes.find((one) => one.key === key)?.value
  t.match(attribute(named('CreateAPI'), 'pod.uid'), { stringValue: uidOf(1) })
  t.equal(Number(attribute(named('CreateAPI'), 'exit.code')?.intValue), 200)
  t.equal(
    Number(attribute(named('StatusAPI'), 'exit.code')?.intValue),
    500,
    'a failure is told by its status'
  )
  t.equal(named('StatusAPI').status?.code, 2)
  t.same([...otlp.services], ['interlink-test'])
  t.same([...otlp.paths], ['/v1/traces'], 'neither metrics nor logs were asked for')
})

t.test('metrics are Prometheus text', async (t) => {
  const metrics = createMetrics('test')
  const calls = metrics.counter('calls', 'Calls.')
  calls.add(1, { op: 'a"b\n' })
  calls.add(2, { op: 'a"b\n' })
  metrics.gauge('depth', 'Depth.').set(7)
  let waiting = 1
  const end = metrics.observedGauge('waiting', 'Waiting.').observe(() => waiting, { queue: 'q' })
  waiting = 2
  metrics.histogram('seconds', 'Seconds.').record(0.05, { op: 'x' })
  const lines = metrics.render().split('\n')
  t.ok(lines.includes('# TYPE calls_total counter'))
  t.ok(lines.includes('calls_total{op="a\\"b\\n"} 3'))
  t.ok(lines.includes('depth 7'))
  t.ok(lines.includes('# TYPE waiting gauge'))
  t.ok(lines.includes('waiting{queue="q"} 2'), 'read when it is asked for')
  end()
  t.notMatch(metrics.render(), /^waiting\{/m)
  t.ok(lines.includes('seconds_bucket{op="x",le="0.025"} 0'))
  t.ok(lines.includes('seconds_bucket{op="x",le="0.1"} 1'))
  t.ok(lines.includes('seconds_bucket{op="x",le="+Inf"} 1'))
  t.ok(lines.includes('seconds_count{op="x"} 1'))
})
