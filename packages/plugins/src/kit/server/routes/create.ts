import type { FastifyPluginAsync } from 'fastify'
import { extractContext, withSpan } from '@interlink-ts/interlink-api/telemetry'
import { decode, encodeCreateAnswer } from '@interlink-ts/interlink-api/wire'
import type { PluginContext } from '../build-plugin-server.ts'

/** `POST /create`: one pod, as an object or in an array of one. Idempotent by UID. */
export const createRoutes: FastifyPluginAsync<PluginContext> = async (app, { keeper, metrics }) => {
  const created = metrics.counter(
    'interlink_plugin_creates',
    'Pods that were asked to be created, by outcome'
  )
  app.post('/create', async (request) => {
    const data = decode('RetrievedPodData', request.body)
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
  })
}
