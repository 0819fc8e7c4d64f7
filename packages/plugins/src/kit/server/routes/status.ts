import type { FastifyPluginAsync } from 'fastify'
import { capabilities, decode, encodeStatuses, type PingResponse } from '@interlink-ts/interlink-api/wire'
import type { PluginContext } from '../build-plugin-server.ts'

/** `GET /status` (`POST` too): the pods asked for that are known, from memory; `[]` is a ping. */
export const statusRoutes: FastifyPluginAsync<PluginContext> = async (app, context) => {
  app.route({
    method: ['GET', 'POST'],
    url: '/status',
    handler: async (request) => {
      const asked = decode('StatusRequest', request.body ?? [])
      if (asked.length === 0) return ping(context)
      const known = asked.flatMap(({ metadata }) => context.keeper.board.get(metadata.uid ?? '') ?? [])
      return encodeStatuses(known)
    }
  })
}

async function ping({ backend, version }: PluginContext): Promise<PingResponse> {
  return {
    status: 'ok',
    backend: backend.name,
    version,
    capabilities: [...capabilities],
    ...(await backend.resources?.())
  }
}
