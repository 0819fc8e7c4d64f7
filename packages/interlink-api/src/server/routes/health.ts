import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ErrorBody } from '../../wire/messages.ts'
import { InterlinkError } from '../../errors.ts'
import { callOptions, type ApiContext } from '../context.ts'

const Health = Type.Object({ status: Type.String() })
const pingMs = 2000

/** `/healthz`: this process serves. `/readyz`: so does at least one plugin. Open to everybody; they tell no more. */
export const healthRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (app, { plugins }) => {
  app.get(
    '/healthz',
    { schema: { summary: 'Whether this server serves.', response: { 200: Health } } },
    async () => ({
      status: 'ok'
    })
  )
  app.get(
    '/readyz',
    {
      config: { probe: true },
      schema: {
        summary: 'Whether at least one plugin answers.',
        response: { 200: Health, 503: ErrorBody }
      }
    },
    async (request) => {
      const options = { ...callOptions(request), timeoutMs: pingMs }
      const pings = await Promise.allSettled(plugins.map((plugin) => plugin.ping(options)))
      if (pings.some((ping) => ping.status === 'fulfilled' && ping.value.ok)) return { status: 'ok' }
      throw new InterlinkError('IL_PLUGINS_DOWN', { plugins: plugins.map(({ name }) => name).join(', ') })
    }
  )
}
