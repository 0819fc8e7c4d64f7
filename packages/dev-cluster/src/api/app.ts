import type { TLSSocket } from 'node:tls'
import {
  fastify,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest
} from 'fastify'
import { parse } from 'yaml'
import { ApiError, badRequest, notAllowed, statusBody, unroutable } from '../errors.ts'
import type { Attributes, User } from '../access.ts'
import type { Json } from '../object.ts'
import type { ApiContext, Call, Query } from './context.ts'
import { assertAllowed, attributesOf } from './authorize.ts'
import { fromProtobuf } from '../schema/protobuf.ts'
import { discovery } from './discovery.ts'
import { read } from './read.ts'
import { review } from './reviews.ts'
import { routeUpgrades } from './streams.ts'
import { subresource } from './subresources.ts'
import { targetOf } from './target.ts'
import { create, patch, remove, replace } from './write.ts'

/** The HTTP side of the cluster. */
export function buildApp(context: ApiContext, logger: FastifyBaseLogger | undefined): FastifyInstance {
  const app = fastify({
    ...(logger ? { loggerInstance: logger } : {}),
    https: {
      ...context.pki.server,
      ca: context.pki.ca,
      requestCert: true,
      rejectUnauthorized: false
    },
    bodyLimit: 8 << 20,
    forceCloseConnections: true
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      done(null, decoded(body as Buffer, request.headers['content-type'] ?? ''))
    } catch (error) {
      done(
        error instanceof ApiError
          ? error
          : badRequest(`the body of the request is not readable: ${(error as Error).message}`)
      )
    }
  })
  app.setErrorHandler((error, _request, reply) => {
    const known = error instanceof ApiError ? error : undefined
    const status = known?.status ?? (error as { statusCode?: number }).statusCode ?? 500
    if (status >= 500 && !known) app.log.error({ err: error }, 'request failed')
    return reply
      .code(status)
      .send(
        statusBody(
          known ??
            new ApiError(
              status,
              status === 413 ? 'RequestEntityTooLarge' : 'InternalError',
              (error as Error).message
            )
        )
      )
  })
  app.setNotFoundHandler(() => {
    throw unroutable()
  })
  routeUpgrades(app)
  void app.register(discovery)

  const serve =
    (groupVersion: (params: Record<string, string>) => string) =>
    async (request: FastifyRequest, reply: FastifyReply) => {
      const params = request.params as Record<string, string>
      const version = groupVersion(params)
      const user = await userOf(context, request)
      if (!user) throw new ApiError(401, 'Unauthorized', 'Unauthorized')
      const path = params['*']!
      if (request.method === 'POST' && version.startsWith('auth')) {
        const answer = await reviewed(context, version, path, user, request.body)
        if (answer) return reply.code(201).send(answer)
      }
      const call: Call = {
        target: targetOf(version, path),
        user,
        query: request.query as Query,
        request,
        reply
      }
      assertAllowed(context, call, attributesOf(call))
      return dispatch(context, call)
    }
  app.route({
    method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    url: '/api/v1/*',
    handler: serve(() => 'v1')
  })
  app.route({
    method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    url: '/apis/:group/v1/*',
    handler: serve(({ group }) => `${group}/v1`)
  })
  return app
}

function decoded(body: Buffer, type: string): unknown {
  if (body.length === 0) return undefined
  if (type.includes('protobuf')) return fromProtobuf(body)
  return type.includes('yaml') ? parse(body.toString()) : JSON.parse(body.toString())
}

/** By bearer token, else by the client certificate of the connection. */
async function userOf({ access }: ApiContext, request: FastifyRequest): Promise<User | undefined> {
  const { authorization } = request.headers
  if (authorization !== undefined) return access.user(/^Bearer (.+)$/i.exec(authorization)?.[1])
  const socket = request.raw.socket as TLSSocket
  return socket.authorized ? access.userOfCertificate(socket.getPeerCertificate().subject) : undefined
}

async function reviewed(
  context: ApiContext,
  version: string,
  path: string,
  user: User,
  body: unknown
): Promise<Json | undefined> {
  const parts = path.split('/')
  const asked: Attributes = {
    verb: 'create',
    group: version.split('/')[0]!,
    resource: parts.at(-1)!,
    ...(parts.length > 2 ? { namespace: parts[1]! } : {})
  }
  assertAllowed(context, { user }, asked)
  return review(context, asked.resource, user, (body ?? {}) as Json)
}

function dispatch(context: ApiContext, call: Call): unknown {
  if (call.target.subresource) return subresource(context, call)
  switch (call.request.method) {
    case 'GET':
      return read(context, call)
    case 'POST':
      return create(context, call)
    case 'PUT':
      return replace(context, call)
    case 'PATCH':
      return patch(context, call)
    case 'DELETE':
      return remove(context, call)
    default:
      throw notAllowed(call.request.method)
  }
}
