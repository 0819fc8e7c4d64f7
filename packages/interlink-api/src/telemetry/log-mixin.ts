import { isSpanContextValid, trace } from '@opentelemetry/api'

/** pino's `mixin`: the ids of the active span, so that a log line is found from its trace and back. */
export function logMixin(): { trace_id?: string; span_id?: string } {
  const span = trace.getActiveSpan()?.spanContext()
  return span && isSpanContextValid(span) ? { trace_id: span.traceId, span_id: span.spanId } : {}
}
