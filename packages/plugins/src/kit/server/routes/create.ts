import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { toBody } from '@interlink-ts/interlink-api/errors'
import { extractContext, withSpan } from '@interlink-ts/interlink-api/telemetry'
import { decode, encodeCreateAnswer, type CreateOutcome } from '@interlink-ts/interlink-api/wire'
import type { PluginContext } from '../build-plugin-server.ts'
import { tellError } from '../errors-to-json.ts'

/** `POST /create`: one pod, as an object or in an array of one, or several. Idempotent by UID. */
export const createRoutes: FastifyPluginAsync<PluginContext> = async (app, context) => {
  const { keeper, metrics, bodyLimit } = context
  const created = metrics.counter(
    'interlink_plugin_creates',
    'Pods that were asked to be created, by outcome'
  )
  app.post('/create', (request) => {
    const { body } = request
    return Array.isArray(body) && body.length > 1
      ? Promise.all(body.map((one) => outcome(request, one)))
      : create(request, body)
  })

  const outcome = (request: FastifyRequest, body: unknown): Promise<CreateOutcome> =>
    create(request, body).then(
      (created) => ({ created }),
      (error: unknown) => {
        const known = tellError(error, request, bodyLimit)
        return { error: toBody(known, request.id), status: known.status }
      }
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
