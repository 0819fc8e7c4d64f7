import { context, propagation, type Context } from '@opentelemetry/api'

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

/** The context that an incoming call continues. */
export const extractContext = (headers: Headers): Context => propagation.extract(context.active(), headers)
