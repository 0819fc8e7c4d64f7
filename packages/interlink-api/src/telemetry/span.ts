import {
  context,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Span
} from '@opentelemetry/api'

export interface SpanOptions {
  readonly kind?: keyof typeof SpanKind
  /** The context that the span continues. @default the active one */
  readonly parent?: Context
}

/**
 * Runs `fn` inside a span, which ends with it; an error is recorded by its code and message and thrown on.
 * Costs nothing worth counting where telemetry is off.
 */
export async function withSpan<T>(
  name: string,
  attributes: Attributes,
  fn: (span: Span) => Promise<T> | T,
  options: SpanOptions = {}
): Promise<T> {
  const tracer = trace.getTracer('interlink')
  const parent = options.parent ?? context.active()
  const kind = SpanKind[options.kind ?? 'INTERNAL']
  return tracer.startActiveSpan(name, { attributes, kind }, parent, async (span) => {
    try {
      return await fn(span)
    } catch (error) {
      const { code, message } = error as { code?: unknown; message?: string }
      span.setStatus({ code: SpanStatusCode.ERROR, message })
      if (typeof code === 'string') span.setAttribute('error.type', code)
      throw error
    } finally {
      span.end()
    }
  })
}
