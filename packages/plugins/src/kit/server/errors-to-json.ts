import type { FastifyRequest } from 'fastify'
import { InterlinkError } from '@interlink-ts/interlink-api/errors'

/** Logs what a call, or a part of it, is answered with. `limit`: bytes of a body. */
export function tellError(error: unknown, request: FastifyRequest, limit: number): InterlinkError {
  const known = asInterlinkError(error, limit)
  if (known.status >= 500) request.log.error({ err: error, session: request.id }, 'call failed')
  else
    request.log.info(
      { code: known.code, session: request.id, reason: known.message },
      'call answered with an error'
    )
  return known
}

function asInterlinkError(error: unknown, limit: number): InterlinkError {
  if (error instanceof InterlinkError) return error
  const { code, statusCode, message } = error as { code?: string; statusCode?: number; message?: string }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new InterlinkError('IL_BODY_TOO_LARGE', { limit, server: 'the plugin' })
  if (statusCode !== undefined && statusCode < 500)
    return new InterlinkError('IL_MALFORMED_JSON', { reason: message ?? '' })
  return new InterlinkError('IL_INTERNAL', { reason: 'see the log of the plugin' }, error)
}
