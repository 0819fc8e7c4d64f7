import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { DeviceOffer } from '../../wire/device-offer.ts'
import { ErrorBody } from '../../wire/messages.ts'
import { abortedWith, callOptions, nodeOf, traced, type ApiContext } from '../context.ts'
import { relay } from '../plugin-link.ts'
import { candidates } from '../routing.ts'

/** `/devices`: what the plugins of the calling node lend by resource claims. Of two of one name the first one counts. */
export const deviceRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (app, { plugins, closing }) => {
  app.get(
    '/devices',
    {
      schema: {
        summary: 'The devices that resource claims can be allocated.',
        response: { 200: DeviceOffer, '4xx': ErrorBody, '5xx': ErrorBody }
      }
    },
    (request, reply) =>
      traced(request, 'DevicesAPI', {}, async (): Promise<DeviceOffer> => {
        const options = callOptions(request, abortedWith(reply, closing))
        const answers = candidates(plugins, { node: nodeOf(request) }).map(async (plugin) => {
          if (!(await plugin.offers('devices', options))) return { devices: [] }
          return plugin.client.devices(options).catch((error: unknown) => {
            throw relay(error, plugin.name)
          })
        })
        const offers: DeviceOffer[] = await Promise.all(answers)
        const sharedCounters = firstOfEach(offers.flatMap((offer) => offer.sharedCounters ?? []))
        return {
          devices: firstOfEach(offers.flatMap(({ devices }) => devices)),
          ...(sharedCounters.length > 0 ? { sharedCounters } : {})
        }
      })
  )
}

function firstOfEach<T extends { readonly name: string }>(all: readonly T[]): T[] {
  const byName = new Map<string, T>()
  for (const one of all) if (!byName.has(one.name)) byName.set(one.name, one)
  return [...byName.values()]
}
