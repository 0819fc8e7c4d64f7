import type { FastifyPluginAsync } from 'fastify'
import { extractContext, withSpan } from '@interlink-ts/interlink-api/telemetry'
import { decode, messages } from '@interlink-ts/interlink-api/wire'
import type { PluginContext } from '../build-plugin-server.ts'

const [PodRef] = [messages.StatusRequest.items]

/** `POST /delete` (`DELETE` too): answers once the wish is on disk. A pod that is unknown is a success. */
export const deleteRoutes: FastifyPluginAsync<PluginContext> = async (app, { keeper }) => {
  app.route({
    method: ['POST', 'DELETE'],
    url: '/delete',
    handler: async (request, reply) => {
      const body = Array.isArray(request.body) ? (request.body as unknown[])[0] : request.body
      const { metadata } = decode(PodRef, body)
      const uid = metadata.uid ?? ''
      await withSpan(
        'DeletePod',
        { 'k8s.pod.uid': uid },
        () => keeper.delete(uid, metadata.deletionGracePeriodSeconds),
        { kind: 'SERVER', parent: extractContext(request.headers) }
      )
      return reply.type('text/plain; charset=utf-8').send(`pod ${uid} will be deleted`)
    }
  })
}
