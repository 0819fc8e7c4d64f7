import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
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
  app.setErrorHandler((error: FastifyError | InterlinkError, request, reply) =>
    answerError(error, request, reply, config)
  )
}

export function answerError(
  error: FastifyError | InterlinkError,
  request: FastifyRequest,
  reply: FastifyReply,
  config: Pick<ApiConfig, 'bodyLimit'>
): FastifyReply {
  const known = tellError(error, request, config)
  if (known.status === 401) reply.header('www-authenticate', 'Bearer')
  return reply.code(known.status).header(sessionHeader, request.id).send(toBody(known, request.id))
}

/** Logs what a call, or a part of it, is answered with. */
export function tellError(
  error: FastifyError | InterlinkError,
  request: FastifyRequest,
  config: Pick<ApiConfig, 'bodyLimit'>
): InterlinkError {
  const known = error instanceof InterlinkError ? error : fromFastify(error, config)
  const fields = {
    code: known.code,
    status: known.status,
    retry: known.retry,
    method: request.method,
    route: request.routeOptions?.url,
    ...(typeof known.details.plugin === 'string' ? { plugin: known.details.plugin } : {}),
    ...(typeof known.details.field === 'string' ? { field: known.details.field } : {})
  }
  if (known.code === 'IL_INTERNAL') request.log.error({ ...fields, err: error }, 'request failed')
  else if (request.routeOptions?.config?.probe) request.log.debug(fields, 'request failed')
  else if (known.status >= 500) request.log.warn(fields, 'request failed')
  else request.log.info(fields, 'request refused')
  return known
}

/** What is not HTTP, not whole in time, or has too large a head never becomes a request. */
export function answerUnreadable(
  this: Pick<FastifyInstance, 'log'>,
  error: NodeJS.ErrnoException,
  socket: Socket
): void {
  this.log.debug({ err: error }, 'request not readable')
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const [status, text, body] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? [408, 'Request Timeout', 'the request did not arrive in time']
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? [431, 'Request Header Fields Too Large', 'the headers are larger than 16 KiB']
        : [400, 'Bad Request', 'this is no HTTP request']
  const refusal = new InterlinkError('IL_REFUSED', { server: self, status, body })
  const json = JSON.stringify(toBody(refusal, ''))
  socket.end(
    `HTTP/1.1 ${status} ${text}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`
  )
}

const self = 'the interLink API server'

/** What fastify refuses by itself, without what was sent. */
const refusals: Readonly<Record<string, string>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'Content-Type: expected application/json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'Content-Length: expected the length of the body',
  FST_ERR_BAD_URL: 'the path: expected percent-encoded UTF-8'
}

function fromFastify(error: FastifyError, { bodyLimit }: Pick<ApiConfig, 'bodyLimit'>): InterlinkError {
  if (error.statusCode === 413)
    return new InterlinkError('IL_BODY_TOO_LARGE', { limit: bodyLimit, server: self })
  if (error.statusCode !== undefined && error.statusCode < 500)
    return new InterlinkError('IL_REFUSED', {
      server: self,
      status: error.statusCode,
      body: refusals[error.code] ?? error.code
    })
  return new InterlinkError('IL_INTERNAL', { reason: 'see its log for this session' }, error)
}
