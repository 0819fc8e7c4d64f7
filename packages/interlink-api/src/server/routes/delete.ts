import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { CallOptions } from '../../client/client.ts'
import { InterlinkError } from '../../errors.ts'
import { ErrorBody, PodRef } from '../../wire/messages.ts'
import { labelsOf } from '../container-list.ts'
import { callOptions, nodeOf, traced, type ApiContext } from '../context.ts'
import { relay, type PluginLink } from '../plugin-link.ts'
import { inTurn } from '../routing.ts'

/** `/delete`: DELETE from a node, POST to a plugin. The answer is the plugin's, when it has accepted. */
export const deleteRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (app, { plugins }) => {
  app.route({
    method: ['DELETE', 'POST', 'GET'],
    url: '/delete',
    schema: {
      summary: 'Deletes the job of a pod.',
      body: PodRef,
      response: {
        200: { type: 'string', description: "the plugin's words" },
        '4xx': ErrorBody,
        '5xx': ErrorBody
      }
    },
    handler: (request, reply) => {
      const pod = request.body
      const { name = '', namespace = '', uid = '' } = pod.metadata
      const attributes = { 'pod.name': name, 'pod.namespace': namespace, 'pod.uid': uid }
      return traced(request, 'DeleteAPI', attributes, async () => {
        const node = (pod as { spec?: { nodeName?: string } }).spec?.nodeName ?? nodeOf(request)
        const labels = labelsOf(pod)
        const asked = inTurn(plugins, { node, labels })
        const options = callOptions(request)
        const said = labels
          ? await deleteInTurn(asked, pod, options)
          : await deleteEverywhere(asked, pod, options)
        request.log.info({ pod: name, namespace, uid }, 'pod deleted')
        return reply.type('text/plain; charset=utf-8').send(said)
      })
    }
  })
}

const deleteAt = (plugin: PluginLink, pod: PodRef, options: CallOptions): Promise<string> =>
  plugin.client.delete(pod, options).catch((error: unknown) => {
    throw relay(error, plugin.name)
  })

const isUnknown = (error: unknown) => error instanceof InterlinkError && error.status === 404

/** The first one that does not say 404 has had it. */
async function deleteInTurn(
  plugins: readonly PluginLink[],
  pod: PodRef,
  options: CallOptions
): Promise<string> {
  let unknown: unknown
  for (const plugin of plugins) {
    try {
      return await deleteAt(plugin, pod, options)
    } catch (error) {
      if (!isUnknown(error)) throw error
      unknown ??= error
    }
  }
  throw unknown
}

/** Without labels nobody knows whose it is, and a plugin may call the deletion of an unknown pod a success. */
async function deleteEverywhere(
  plugins: readonly PluginLink[],
  pod: PodRef,
  options: CallOptions
): Promise<string> {
  const results = await Promise.allSettled(plugins.map((plugin) => deleteAt(plugin, pod, options)))
  const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
  const real = failed.find((error) => !isUnknown(error))
  if (real) throw real
  const said = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  if (said.length === 0) throw failed[0]
  return said.join('\n')
}
