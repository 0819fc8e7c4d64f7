/**
 * Metrics that are read two ways: as Prometheus text at `/metrics`, always; and through OpenTelemetry, where the
 * environment has started it. The OpenTelemetry SDK is not loaded for the text: it costs a quarter of a second and
 * 20 MB at start.
 */
import { metrics as otel, type Attributes } from '@opentelemetry/api'

export interface Counter {
  add(value: number, labels?: Labels): void
}
export interface Gauge {
  set(value: number, labels?: Labels): void
}
export interface ObservedGauge {
  /**
   * Reads the value whenever the metrics are asked for, and at no other time.
   * @returns ends it
   */
  observe(read: () => number, labels?: Labels): () => void
}
export interface Histogram {
  /** Seconds. */
  record(value: number, labels?: Labels): void
}
export type Labels = Readonly<Record<string, string | number>>

/** Asking again for a name gives the same instrument. */
export interface Metrics {
  /** Named without `_total`. */
  counter(name: string, help: string): Counter
  gauge(name: string, help: string): Gauge
  observedGauge(name: string, help: string): ObservedGauge
  histogram(name: string, help: string): Histogram
  /** Text format 0.0.4. */
  render(): string
}

export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8'

const buckets = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10, 30] as const

interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  lines(): Iterable<string>
}

/** One registry of metrics; `scope` names it in OpenTelemetry. */
export function createMetrics(scope: string): Metrics {
  const families: Family[] = []
  const meter = otel.getMeter(scope)
  const instruments = new Map<string, unknown>()
  const once = <T>(name: string, create: () => T): T => {
    if (!instruments.has(name)) instruments.set(name, create())
    return instruments.get(name) as T
  }
  const metrics = {
    counter(name: string, help: string): Counter {
      const values = new Map<string, number>()
      const instrument = meter.createCounter(name, { description: help })
      families.push({
        name: `${name}_total`,
        help,
        type: 'counter',
        lines: () => samples(`${name}_total`, values)
      })
      return {
        add(value, labels = {}) {
          const key = labelText(labels)
          values.set(key, (values.get(key) ?? 0) + value)
          instrument.add(value, labels as Attributes)
        }
      }
    },
    gauge(name: string, help: string): Gauge {
      const values = new Map<string, number>()
      const instrument = meter.createGauge(name, { description: help })
      families.push({ name, help, type: 'gauge', lines: () => samples(name, values) })
      return {
        set(value, labels = {}) {
          values.set(labelText(labels), value)
          instrument.record(value, labels as Attributes)
        }
      }
    },
    observedGauge(name: string, help: string): ObservedGauge {
      const sources = new Set<{ readonly read: () => number; readonly labels: Labels }>()
      meter.createObservableGauge(name, { description: help }).addCallback((result) => {
        for (const { read, labels } of sources) result.observe(read(), labels as Attributes)
      })
      families.push({
        name,
        help,
        type: 'gauge',
        *lines() {
          for (const { read, labels } of sources) yield sample(name, labelText(labels), read())
        }
      })
      return {
        observe(read, labels = {}) {
          const source = { read, labels }
          sources.add(source)
          return () => sources.delete(source)
        }
      }
    },
    histogram(name: string, help: string): Histogram {
      const series = new Map<string, { readonly counts: number[]; sum: number; count: number }>()
      const instrument = meter.createHistogram(name, {
        description: help,
        unit: 's',
        advice: { explicitBucketBoundaries: [...buckets] }
      })
      families.push({
        name,
        help,
        type: 'histogram',
        *lines() {
          for (const [labels, { counts, sum, count }] of series) {
            const comma = labels ? `${labels},` : ''
            for (const [i, le] of buckets.entries()) yield `${name}_bucket{${comma}le="${le}"} ${counts[i]}`
            yield `${name}_bucket{${comma}le="+Inf"} ${count}`
            yield sample(`${name}_sum`, labels, sum)
            yield sample(`${name}_count`, labels, count)
          }
        }
      })
      return {
        record(value, labels = {}) {
          const key = labelText(labels)
          let found = series.get(key)
          if (!found) series.set(key, (found = { counts: buckets.map(() => 0), sum: 0, count: 0 }))
          for (const [i, le] of buckets.entries()) if (value <= le) found.counts[i]!++
          found.sum += value
          found.count++
          instrument.record(value, labels as Attributes)
        }
      }
    }
  }
  return {
    counter: (name, help) => once(name, () => metrics.counter(name, help)),
    gauge: (name, help) => once(name, () => metrics.gauge(name, help)),
    observedGauge: (name, help) => once(name, () => metrics.observedGauge(name, help)),
    histogram: (name, help) => once(name, () => metrics.histogram(name, help)),
    render: () =>
      families
        .flatMap((family) => [
          `# HELP ${family.name} ${family.help}`,
          `# TYPE ${family.name} ${family.type}`,
          ...family.lines()
        ])
        .join('\n') + '\n'
  }
}

function* samples(name: string, values: ReadonlyMap<string, number>): Iterable<string> {
  for (const [labels, value] of values) yield sample(name, labels, value)
}

const sample = (name: string, labels: string, value: number) =>
  `${name}${labels ? `{${labels}}` : ''} ${value}`

const labelText = (labels: Labels): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${escape(String(value))}"`)
    .join(',')

const escape = (value: string) => value.replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`))
