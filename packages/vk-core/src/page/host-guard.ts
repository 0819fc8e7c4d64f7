import fp from 'fastify-plugin'
import { isLoopback } from '../config.ts'
import { VkError } from '../errors.ts'

/** A page of another site may point its own name at this address (DNS rebinding): only known names are served. */
export const hostGuard = fp<{ readonly hosts: readonly string[] }>(
  async (app, { hosts }) => {
    app.addHook('onRequest', async (request) => {
      const host = hostOf(request.headers.host ?? '')
      if (!isLoopback(host) && !hosts.includes(host))
        throw new VkError('VK_PAGE_HOST', { host: JSON.stringify(host) })
    })
  },
  { fastify: '5.x', name: 'page-host-guard' }
)

/** `[::1]:80` and `localhost:80` without their port. */
const hostOf = (header: string) =>
  (/^\[(.+)\](?::\d+)?$/.exec(header)?.[1] ?? header.replace(/:\d+$/, '')).toLowerCase()
