import type { FastifyPluginAsync } from 'fastify'
import {
  capabilities,
  decode,
  encodeStatuses,
  type DeviceOffer,
  type PingResponse,
  type PodUsage
} from '@interlink-ts/interlink-api/wire'
import { PluginError } from '../../../errors.ts'
import { submittedJob } from '../../jobs/job-entry.ts'
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

/** `GET /usage`: what the containers that run use, where the backend measures it. */
export const usageRoutes: FastifyPluginAsync<PluginContext> = async (app, { backend, keeper }) => {
  app.get('/usage', async (): Promise<PodUsage[]> => {
    if (!backend.usage) throw new PluginError('PLUGIN_NOT_OFFERED', { what: 'usage', backend: backend.name })
    const running = keeper.running().filter(({ state }) => state?.supervisor !== undefined)
    const used = await backend.usage(running.map(submittedJob))
    return [...used].map(([UID, { at, containers }]) => ({ UID, at, containers: [...containers] }))
  })
}

/** `GET /devices`: what resource claims can be allocated, where the backend lends by them. */
export const deviceRoutes: FastifyPluginAsync<PluginContext> = async (app, { backend }) => {
  app.get('/devices', async (): Promise<DeviceOffer> => {
    if (!backend.offeredDevices)
      throw new PluginError('PLUGIN_NOT_OFFERED', { what: 'devices', backend: backend.name })
    return backend.offeredDevices()
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
    capabilities: [
      ...capabilities,
      ...offeredStreams(backend),
      ...(backend.add ? ['ephemeral'] : []),
      ...(backend.usage ? ['usage'] : []),
      ...(backend.offeredDevices ? ['devices'] : [])
    ],
    ...(await backend.resources?.())
  }
}
