import type { FastifyInstance, FastifyRequest } from 'fastify'
import { parseJson } from '../wire/json.ts'

/**
 * The protocol sends bodies with GET, and Go clients send them without a content type. `/updateCache` takes text.
 * JSON is parsed whatever its type says, without an error that quotes it.
 */
export function readBodies(app: FastifyInstance): void {
  app.addHttpMethod('GET', { hasBody: true, overrideExisting: true })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, async (request: FastifyRequest, body: string) => {
    if (request.routeOptions.config.textBody) return body
    return body.trim() === '' ? undefined : parseJson(body)
  })
}
