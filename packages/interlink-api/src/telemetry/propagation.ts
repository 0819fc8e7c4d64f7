import { context, propagation, trace, type Context } from '@opentelemetry/api'

type Headers = Readonly<Record<string, string | string[] | undefined>>

/**
 * The headers with W3C trace context of the active span. Without telemetry in this process, context that is there
 * already goes on as it came.
 */
export function injectHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const carrier = { ...headers }
  propagation.inject(context.active(), carrier)
  return carrier
}

/** Whether a call belongs to a trace: of this process, or one that its headers go on with. */
export const isTraced = (headers: Readonly<Record<string, string>> = {}): boolean =>
  headers.traceparent !== undefined || (trace.getActiveSpan()?.isRecording() ?? false)

/** The context that an incoming call continues. */
export const extractContext = (headers: Headers): Context => propagation.extract(context.active(), headers)
