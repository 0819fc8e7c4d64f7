import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { EphemeralRequest, ErrorBody } from '../../wire/messages.ts'
import { labelsOf } from '../container-list.ts'
import { callOptions, nodeOf, traced, type ApiContext } from '../context.ts'
import { atOwner } from '../plugin-link.ts'
import { inTurn } from '../routing.ts'

/** `/ephemeral`: goes on to the plugin that has the pod. */
export const ephemeralRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (app, { plugins }) => {
  app.post(
    '/ephemeral',
    {
      schema: {
        summary: 'Adds an ephemeral container to the job of a pod.',
        body: EphemeralRequest,
        response: {
          200: { type: 'string', description: "the plugin's words" },
          '4xx': ErrorBody,
          '5xx': ErrorBody
        }
      }
    },
    (request, reply) => {
      const { pod, container } = request.body
      const { name = '', namespace = '', uid = '' } = pod.metadata
      const attributes = { 'pod.name': name, 'pod.namespace': namespace, 'pod.uid': uid }
      return traced(request, 'EphemeralAPI', attributes, async () => {
        const options = callOptions(request)
        const asked = inTurn(plugins, { node: pod.spec.nodeName ?? nodeOf(request), labels: labelsOf(pod) })
        const said = await atOwner(asked, 'ephemeral', options, ({ client }) =>
          client.addEphemeral(request.body, options)
        )
        request.log.info({ pod: name, namespace, uid, container }, 'ephemeral container added')
        return reply.type('text/plain; charset=utf-8').send(said)
      })
    }
  )
}
