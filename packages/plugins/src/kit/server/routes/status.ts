import type { FastifyPluginAsync } from 'fastify'
import { capabilities, decode, encodeStatuses, type PingResponse } from '@interlink-ts/interlink-api/wire'
import { offeredStreams } from '../../streams/offered.ts'
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

/** A backend that is away takes no pod from the node: its jobs go on, and the answer says since when and why. */
async function ping({ backend, keeper, version }: PluginContext): Promise<PingResponse> {
  const away = keeper.unreachable
  return {
    status: away
      ? `${backend.name} does not answer since ${new Date(away.since).toISOString()}: ${away.reason}`
      : 'ok',
    backend: backend.name,
    version,
    capabilities: [...capabilities, ...offeredStreams(backend)],
    ...(await backend.resources?.())
  }
}
