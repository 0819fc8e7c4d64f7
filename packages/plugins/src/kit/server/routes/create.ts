import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { extractContext, withSpan } from '@interlink-ts/interlink-api/telemetry'
import { answerCreates, decode, encodeCreateAnswer } from '@interlink-ts/interlink-api/wire'
import type { PluginContext } from '../build-plugin-server.ts'
import { tellError } from '../errors-to-json.ts'

/** `POST /create`: one pod, as an object or in an array of one, or several. Idempotent by UID. */
export const createRoutes: FastifyPluginAsync<PluginContext> = async (app, context) => {
  const { keeper, metrics, bodyLimit } = context
  const created = metrics.counter(
    'interlink_plugin_creates',
    'Pods that were asked to be created, by outcome'
  )
  app.post('/create', (request) =>
    answerCreates({
      body: request.body,
      session: request.id,
      create: (body) => create(request, body),
      tell: (error) => tellError(error, request, bodyLimit)
    })
  )

  async function create(request: FastifyRequest, body: unknown) {
    const data = decode('RetrievedPodData', body)
    const { uid = '', namespace = '', name = '' } = data.pod.metadata
    const attributes = { 'k8s.pod.uid': uid, 'k8s.namespace.name': namespace, 'k8s.pod.name': name }
    try {
      const answer = await withSpan('CreatePod', attributes, () => keeper.create(data), {
        kind: 'SERVER',
        parent: extractContext(request.headers)
      })
      created.add(1, { outcome: 'created' })
      return encodeCreateAnswer(answer)
    } catch (error) {
      created.add(1, { outcome: (error as { code?: string }).code ?? 'failed' })
      throw error
    }
  }
}
