import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { InterlinkError } from '../../errors.ts'
import { ErrorBody, PingResponse } from '../../wire/messages.ts'
import { callOptions, nodeOf, traced, type ApiContext } from '../context.ts'
import { mergePings } from '../merge-pings.ts'
import { candidates } from '../routing.ts'

/** `/pinglink`, with any verb: 200 when every plugin of the calling node answers. */
export const pingRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (app, { plugins }) => {
  app.route({
    method: ['POST', 'GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    url: '/pinglink',
    config: { textBody: true },
    schema: {
      summary: "Whether the node's plugins answer, and what they have.",
      response: { 200: PingResponse, 503: ErrorBody }
    },
    handler: (request, reply: FastifyReply) =>
      traced(request, 'PingAPI', {}, async () => {
        const asked = candidates(plugins, { node: nodeOf(request) })
        const results = await Promise.allSettled(asked.map((plugin) => plugin.ping(callOptions(request))))
        const pings = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
        const down = results.flatMap((result, index) => {
          const { name } = asked[index]!
          if (result.status === 'rejected') return [`${name} (${(result.reason as Error).message})`]
          return result.value.ok ? [] : [`${name} (${result.value.status}: ${result.value.body})`]
        })
        if (down.length > 0) throw new InterlinkError('IL_PLUGINS_DOWN', { plugins: down.join(', ') })
        const [only] = pings
        if (pings.length > 1 || !only) return reply.send(mergePings(pings))
        return reply.type(only.parsed ? 'application/json' : 'text/plain; charset=utf-8').send(only.body)
      })
  })
}
