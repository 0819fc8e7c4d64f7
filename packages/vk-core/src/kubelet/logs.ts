import { pipeline } from 'node:stream/promises'
import type { FastifyPluginAsync } from 'fastify'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import { VkError } from '../errors.ts'
import type { LogQuery } from '../pods/types.ts'
import { containersOf, statusOfContainer } from './containers.ts'
import type { KubeletPods } from './pods-of.ts'
import { parseLogQuery } from './log-query.ts'

interface LogRoute {
  Params: { namespace: string; pod: string; container: string }
  Querystring: Record<string, string | string[] | undefined>
}

/**
 * `/containerLogs`. Bytes pass as they come; the caller's leaving ends the backend's stream.
 * Errors are plain text: the API server wraps the body of a 400 as it is into what kubectl prints.
 */
export const containerLogs: FastifyPluginAsync<{ readonly pods: KubeletPods }> = async (app, { pods }) => {
  app.setErrorHandler((error, request, reply) => {
    const known = error instanceof VkError ? error : undefined
    if (!known) request.log.error({ err: error }, 'log request failed')
    return reply
      .code(known?.status ?? 500)
      .type('text/plain; charset=utf-8')
      .send(known?.message ?? 'the node failed to read the log')
  })

  app.get<LogRoute>('/containerLogs/:namespace/:pod/:container', async (request, reply) => {
    const { namespace, pod: name, container } = request.params
    const query = parseLogQuery(request.query)
    const pod = pods.get(namespace, name)
    if (!pod) throw new VkError('VK_POD_NOT_FOUND', { namespace, pod: name })
    assertLogExists(pod, container, query)

    const left = new AbortController()
    reply.raw.once('close', () => left.abort())
    const stream = await pods.logs(pod, container, query, left.signal).catch((error: unknown) => {
      if (left.signal.aborted) throw error
      const reason = error instanceof Error ? error.message : String(error)
      throw new VkError('VK_LOG_FAILED', { container, pod: name, reason }, error)
    })
    reply.hijack()
    reply.raw.writeHead(200, {
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff'
    })
    reply.raw.flushHeaders()
    await pipeline(stream, reply.raw, { signal: left.signal }).catch((error: unknown) => {
      if (!left.signal.aborted) request.log.warn({ err: error, pod: name, container }, 'log stream broke off')
      reply.raw.destroy()
    })
  })
}

/** Says what the kubelet says where there can be no log yet. */
export function assertLogExists(pod: Pod, container: string, query: LogQuery): void {
  const name = pod.metadata.name ?? ''
  if (!containersOf(pod).includes(container))
    throw new VkError('VK_CONTAINER_NOT_FOUND', { container, pod: name })

  const status = statusOfContainer(pod, container)
  const { waiting, running, terminated } = status?.state ?? {}
  const before = status?.lastState?.terminated
  if (query.previous) {
    if (!before && !status?.restartCount) throw new VkError('VK_NO_PREVIOUS_LOG', { container, pod: name })
    return
  }
  if (running || terminated || before || status?.restartCount) return
  throw new VkError('VK_NOT_STARTED', {
    container,
    pod: name,
    reason: waiting?.reason ?? 'ContainerCreating'
  })
}
