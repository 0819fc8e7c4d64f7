import { pipeline } from 'node:stream/promises'
import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import { VkError } from '../errors.ts'
import { assertLogExists } from '../kubelet/logs.ts'
import { followPage, pageSnapshot, type PageSource } from './page-feed.ts'

const keepAliveMs = 15_000
const maxTail = 2_000

interface LogRoute {
  Params: { uid: string; container: string }
  Querystring: { tail?: string; follow?: string }
}

/** The page's data: Server-Sent Events of all pods; events and logs of one pod, only when somebody looks at it. */
export const pageLive: FastifyPluginAsync<{ readonly sources: readonly PageSource[] }> = async (
  app,
  { sources }
) => {
  const open = new Set<FastifyReply>()
  app.addHook('preClose', async () => {
    for (const reply of open) reply.raw.destroy()
  })

  app.get('/live', (request, reply) => {
    reply.hijack()
    open.add(reply)
    reply.raw.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff'
    })
    const send = (event: string, data: unknown) =>
      reply.raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
    const stop = followPage(sources, (changes) => {
      // A browser that does not read gets a new snapshot when it connects again, instead of a growing buffer here.
      if (reply.raw.writableLength > 16 * 1024 * 1024) reply.raw.destroy()
      else send('changes', changes)
    })
    send('snapshot', pageSnapshot(sources))
    const beat = setInterval(() => reply.raw.write(': \n\n'), keepAliveMs)
    request.raw.socket.once('close', () => {
      stop()
      clearInterval(beat)
      open.delete(reply)
    })
  })

  app.get<{ Params: { uid: string } }>('/pods/:uid/events', async ({ params }, reply) => {
    const { view } = podOf(params.uid)
    return reply.header('cache-control', 'no-store').send(view.events(params.uid))
  })

  app.get<LogRoute>('/pods/:uid/log/:container', async ({ params, query }, reply) => {
    const { pod, view } = podOf(params.uid)
    const options = {
      tailLines: Math.min(Number(query.tail) || 200, maxTail),
      timestamps: false,
      previous: false,
      follow: query.follow === 'true'
    }
    assertLogExists(pod, params.container, options)
    const left = new AbortController()
    reply.raw.once('close', () => left.abort())
    const stream = await view.logs(pod, params.container, options, left.signal)
    reply.hijack()
    reply.raw.writeHead(200, {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff'
    })
    reply.raw.flushHeaders()
    await pipeline(stream, reply.raw, { signal: left.signal }).catch(() => reply.raw.destroy())
  })

  const podOf = (uid: string) => {
    for (const { view } of sources) {
      const pod = view.list().find(({ metadata }) => metadata.uid === uid)
      if (pod) return { pod, view }
    }
    throw new VkError('VK_POD_NOT_FOUND', { namespace: '', pod: uid })
  }
}
