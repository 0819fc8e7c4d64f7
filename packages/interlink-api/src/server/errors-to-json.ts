import type { FastifyError, FastifyInstance } from 'fastify'
import { InterlinkError, toBody } from '../errors.ts'
import { sessionHeader } from '../wire/messages.ts'
import type { ApiConfig } from './config.ts'

/** Every failure leaves as the JSON of {@link toBody}. What a plugin said goes to the caller, not into the log. */
export function handleErrors(app: FastifyInstance, config: Pick<ApiConfig, 'bodyLimit'>): void {
  app.setNotFoundHandler((request) => {
    throw new InterlinkError('IL_ROUTE_NOT_FOUND', {
      method: request.method,
      path: request.url.split('?')[0]
    })
  })
  app.setErrorHandler((error: FastifyError | InterlinkError, request, reply) => {
    const known = error instanceof InterlinkError ? error : fromFastify(error, config)
    const fields = {
      code: known.code,
      status: known.status,
      retry: known.retry,
      method: request.method,
      route: request.routeOptions.url,
      ...(typeof known.details.plugin === 'string' ? { plugin: known.details.plugin } : {}),
      ...(typeof known.details.field === 'string' ? { field: known.details.field } : {})
    }
    if (known.code === 'IL_INTERNAL') request.log.error({ ...fields, err: error }, 'request failed')
    else if (request.routeOptions.config.probe) request.log.debug(fields, 'request failed')
    else if (known.status >= 500) request.log.warn(fields, 'request failed')
    else request.log.info(fields, 'request refused')
    if (known.status === 401) reply.header('www-authenticate', 'Bearer')
    return reply.code(known.status).header(sessionHeader, request.id).send(toBody(known, request.id))
  })
}

function fromFastify(error: FastifyError, { bodyLimit }: Pick<ApiConfig, 'bodyLimit'>): InterlinkError {
  if (error.statusCode === 413)
    return new InterlinkError('IL_BODY_TOO_LARGE', { limit: bodyLimit, server: 'the interLink API server' })
  if (error.statusCode !== undefined && error.statusCode < 500)
    return new InterlinkError('IL_REFUSED', {
      server: 'the interLink API server',
      status: error.statusCode,
      body: error.code
    })
  return new InterlinkError('IL_INTERNAL', { reason: 'see its log for this session' }, error)
}
