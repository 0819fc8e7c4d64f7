import type { FastifyPluginAsync } from 'fastify'
import { extractContext, withSpan } from '@interlink-ts/interlink-api/telemetry'
import { decode } from '@interlink-ts/interlink-api/wire'
import type { PluginContext } from '../build-plugin-server.ts'

/** `POST /ephemeral`: adds a container to a job, once; answers when it is certain to be started. */
export const ephemeralRoutes: FastifyPluginAsync<PluginContext> = async (app, { keeper }) => {
  app.post('/ephemeral', async (request, reply) => {
    const asked = decode('EphemeralRequest', request.body)
    const uid = asked.pod.metadata.uid ?? ''
    await withSpan('AddEphemeral', { 'k8s.pod.uid': uid }, () => keeper.addEphemeral(asked), {
      kind: 'SERVER',
      parent: extractContext(request.headers)
    })
    return reply
      .type('text/plain; charset=utf-8')
      .send(`container ${asked.container} of pod ${uid} will start`)
  })
}
