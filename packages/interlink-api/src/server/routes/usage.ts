import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ErrorBody, PodUsage } from '../../wire/messages.ts'
import { abortedWith, callOptions, nodeOf, traced, type ApiContext } from '../context.ts'
import { relay } from '../plugin-link.ts'
import { candidates } from '../routing.ts'

/** `/usage`: of all plugins of the calling node that measure. */
export const usageRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (app, { plugins, closing }) => {
  app.get(
    '/usage',
    {
      schema: {
        summary: 'What the containers that run use.',
        response: { 200: Type.Array(PodUsage), '4xx': ErrorBody, '5xx': ErrorBody }
      }
    },
    (request, reply) =>
      traced(request, 'UsageAPI', {}, async () => {
        const options = callOptions(request, abortedWith(reply, closing))
        const answers = candidates(plugins, { node: nodeOf(request) }).map(async (plugin) => {
          if (!(await plugin.offers('usage', options))) return []
          return plugin.client.usage(options).catch((error: unknown) => {
            throw relay(error, plugin.name)
          })
        })
        return (await Promise.all(answers)).flat()
      })
  )
}
