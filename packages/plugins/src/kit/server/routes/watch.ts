import { Type, type Static } from 'typebox'
import type { FastifyPluginAsync } from 'fastify'
import type { PluginContext } from '../build-plugin-server.ts'
import { WatchStream } from '../watch-stream.ts'

const Query = Type.Object({ node: Type.Optional(Type.String()), cursor: Type.Optional(Type.String()) })

/** `GET /watch?node=NAME&cursor=C`: a stream of status changes, without end. */
export const watchRoutes: FastifyPluginAsync<PluginContext> = async (
  app,
  { keeper, heartbeatMs, metrics }
) => {
  const watchers = metrics.gauge('interlink_plugin_watchers', 'Open watches')
  const open = new Set<WatchStream>()
  app.addHook('preClose', async () => {
    for (const stream of open) stream.destroy()
  })
  app.get<{ Querystring: Static<typeof Query> }>(
    '/watch',
    { schema: { querystring: Query } },
    (request, reply) => {
      const { node, cursor } = request.query
      const stream = new WatchStream(keeper.board, {
        heartbeatMs,
        ...(node ? { node } : {}),
        ...(cursor ? { cursor } : {})
      })
      open.add(stream)
      watchers.set(open.size)
      stream.once('close', () => {
        open.delete(stream)
        watchers.set(open.size)
      })
      return reply.type('application/x-ndjson').header('cache-control', 'no-store').send(stream)
    }
  )
}
