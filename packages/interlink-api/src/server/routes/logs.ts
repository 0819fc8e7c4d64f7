import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { LogStream } from '../../client/client.ts'
import { InterlinkError } from '../../errors.ts'
import { ErrorBody, LogStruct, sessionHeader } from '../../wire/messages.ts'
import { abortedWith, callOptions, nodeOf, traced, type ApiContext } from '../context.ts'
import { checkLogRequest } from '../log-request.ts'
import { relay } from '../plugin-link.ts'
import { candidates } from '../routing.ts'

/** `/getLogs`: a stream that passes through as it comes; whoever goes away ends it at the plugin too. */
export const logRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (app, { plugins, closing }) => {
  app.route({
    method: ['GET', 'POST'],
    url: '/getLogs',
    schema: {
      summary: 'The log of a container.',
      body: LogStruct,
      response: {
        200: { type: 'string', description: 'the log as it is' },
        '4xx': ErrorBody,
        '5xx': ErrorBody
      }
    },
    handler: async (request, reply) => {
      const { body } = request
      checkLogRequest(body)
      const attributes = {
        'pod.name': body.PodName,
        'pod.namespace': body.Namespace,
        'pod.uid': body.PodUID,
        'opts.follow': body.Opts.Follow,
        'opts.tail': body.Opts.Tail,
        'opts.previous': body.Opts.Previous
      }
      const options = callOptions(request, abortedWith(reply, closing))
      const { stream, contentType } = await traced(request, 'GetLogsAPI', attributes, async () => {
        let unknown: unknown
        for (const plugin of candidates(plugins, { node: nodeOf(request) })) {
          try {
            return await plugin.client.logs(body, options)
          } catch (error) {
            const relayed = relay(error, plugin.name)
            if (!(relayed instanceof InterlinkError) || relayed.status !== 404) throw relayed
            unknown ??= relayed
          }
        }
        throw unknown
      })
      reply.hijack()
      await passOn({ stream, contentType }, reply.raw, request.id)
    }
  })
}

/** Headers go at once: a follower must know that the stream is open before there is a line. */
async function passOn({ stream, contentType }: LogStream, raw: ServerResponse, session: string) {
  raw.writeHead(200, { 'content-type': contentType, [sessionHeader]: session })
  raw.flushHeaders()
  await pipeline(stream, raw).catch(() => raw.destroy())
}
