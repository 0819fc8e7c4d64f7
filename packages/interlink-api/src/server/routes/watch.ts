import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { WatchOptions } from '../../client/client.ts'
import { InterlinkError } from '../../errors.ts'
import { ErrorBody, sessionHeader, WatchEvent } from '../../wire/messages.ts'
import { abortedWith, callOptions, nodeOf, type ApiContext } from '../context.ts'
import { mergeWatch } from '../merge-watch.ts'
import { relay, type PluginLink } from '../plugin-link.ts'
import { candidates } from '../routing.ts'

const contentType = 'application/x-ndjson'

/** `/watch`: one plugin's stream passes through as it is; several are merged. */
export const watchRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (
  app,
  { plugins, closing, metrics }
) => {
  const opened = metrics.counter('interlink_api_watches', 'Watches that were opened.')
  app.route({
    method: ['GET', 'POST'],
    url: '/watch',
    config: { textBody: true },
    schema: {
      summary: 'Status changes as they happen, one JSON object a line.',
      querystring: Type.Object({ node: Type.Optional(Type.String()), cursor: Type.Optional(Type.String()) }),
      response: { 200: WatchEvent, '4xx': ErrorBody, '5xx': ErrorBody }
    },
    handler: async (request, reply) => {
      const asked = candidates(plugins, { node: nodeOf(request) })
      const options = callOptions(request, abortedWith(reply, closing))
      const { cursor } = request.query
      const source =
        asked.length === 1
          ? await open(asked[0], { ...options, cursor })
          : await openMerged(asked, cursor, options)
      opened.add(1)
      reply.hijack()
      await passOn(source, reply.raw, request.id)
    }
  })
}

async function open(plugin: PluginLink, options: WatchOptions): Promise<Readable> {
  try {
    return await plugin.client.openWatch(options)
  } catch (error) {
    throw notOffered(error, plugin.name)
  }
}

/** The first event is awaited, so that a plugin that is down or has no watch is an answer, not a broken stream. */
async function openMerged(
  plugins: readonly PluginLink[],
  cursor: string | undefined,
  options: WatchOptions
): Promise<Readable> {
  const lacking = await Promise.all(
    plugins.map(async (plugin) =>
      (await plugin.ping(options)).capabilities.has('watch') ? undefined : plugin
    )
  )
  const without = lacking.find((plugin) => plugin !== undefined)
  if (without) throw new InterlinkError('IL_NOT_OFFERED', { plugin: without.name, capability: 'watch' })
  const events = mergeWatch(
    plugins.map(({ name }) => name),
    (name, from, signal) =>
      plugins
        .find((plugin) => plugin.name === name)!
        .client.watch({
          ...options,
          cursor: from,
          signal: AbortSignal.any([signal, ...(options.signal ? [options.signal] : [])])
        }),
    cursor
  )
  return Readable.from(toLines(events), { objectMode: false })
}

async function* toLines(events: AsyncIterable<WatchEvent>) {
  for await (const event of events) yield `${JSON.stringify(event)}\n`
}

function notOffered(error: unknown, plugin: string): unknown {
  const lacks = error instanceof InterlinkError && [404, 405, 501].includes(error.status)
  return lacks
    ? new InterlinkError('IL_NOT_OFFERED', { plugin, capability: 'watch' }, error)
    : relay(error, plugin)
}

async function passOn(source: Readable, raw: ServerResponse, session: string): Promise<void> {
  raw.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-store', [sessionHeader]: session })
  raw.flushHeaders()
  await pipeline(source, raw).catch(() => raw.destroy())
}
