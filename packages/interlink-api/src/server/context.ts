import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Attributes, Span } from '@opentelemetry/api'
import type { CallOptions } from '../client/client.ts'
import { extractContext } from '../telemetry/propagation.ts'
import { withSpan } from '../telemetry/span.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { nodeHeader } from '../wire/messages.ts'
import type { ApiConfig } from './config.ts'
import type { PluginLink } from './plugin-link.ts'

declare module 'fastify' {
  interface FastifySchema {
    /** For `/openapi.json`. */
    summary?: string
  }
  interface FastifyContextConfig {
    /** The body is text and stays as it is. */
    textBody?: boolean
    /** Asked all the time by machines; its failures are no news for the log. */
    probe?: boolean
  }
}

/** What the route families share. */
export interface ApiContext {
  readonly config: ApiConfig
  readonly plugins: readonly PluginLink[]
  readonly metrics: Metrics
  /** Aborted when the server closes, so that streams end. */
  readonly closing: AbortSignal
}

/** The node that calls: its header, or `?node=`. */
export function nodeOf(request: FastifyRequest): string | undefined {
  const header = request.headers[nodeHeader]
  const { node } = request.query as { node?: unknown }
  if (typeof node === 'string' && node) return node
  return typeof header === 'string' && header ? header : undefined
}

/** What goes on to the plugin: session, node, and the trace as it came when this process has no telemetry of its own. */
export function callOptions(request: FastifyRequest, signal?: AbortSignal): CallOptions {
  const { traceparent, tracestate } = request.headers
  return {
    session: request.id,
    node: nodeOf(request),
    headers: {
      ...(typeof traceparent === 'string' ? { traceparent } : {}),
      ...(typeof tracestate === 'string' ? { tracestate } : {})
    },
    ...(signal ? { signal } : {})
  }
}

/** Aborted when the caller goes away before its answer is complete. */
export function abortedWith(reply: FastifyReply, closing: AbortSignal): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort()
  })
  return AbortSignal.any([gone.signal, closing])
}

/** Runs a handler in a span that continues the caller's trace, with the attributes that dashboards of interLink read. */
export function traced<T>(
  request: FastifyRequest,
  name: string,
  attributes: Attributes,
  fn: (span: Span) => Promise<T>
): Promise<T> {
  const user = request.headers['x-forwarded-user']
  const email = request.headers['x-forwarded-email']
  const started = Date.now()
  return withSpan(
    name,
    {
      ...attributes,
      'session.id': request.id,
      'start.timestamp': started * 1000,
      'X-Forwarded-User': typeof user === 'string' ? user : 'unknown',
      'X-Forwarded-Email': typeof email === 'string' ? email : 'unknown'
    },
    async (span) => {
      let code = 500
      try {
        const result = await fn(span)
        code = 200
        return result
      } catch (error) {
        code = (error as { status?: number }).status ?? 500
        throw error
      } finally {
        const ended = Date.now()
        span.setAttributes({
          'exit.code': code,
          'end.timestamp': ended * 1000,
          duration: (ended - started) * 1000
        })
      }
    },
    { kind: 'SERVER', parent: extractContext(request.headers) }
  )
}
