import { pipeline } from 'node:stream/promises'
import type { FastifyPluginAsync } from 'fastify'
import { extractContext, withSpan } from '@interlink-ts/interlink-api/telemetry'
import { decode, type LogStruct } from '@interlink-ts/interlink-api/wire'
import { PluginError } from '../../../errors.ts'
import { openLog } from '../../jobs/log-reader.ts'
import { hasStopped } from '../../jobs/job-entry.ts'
import { mayRun } from '../../jobs/pod-status.ts'
import type { PluginContext } from '../build-plugin-server.ts'

/** `GET /getLogs` (`POST` too): the bytes of a container's log, as a kubelet would give them. */
export const logRoutes: FastifyPluginAsync<PluginContext> = async (app, { keeper }) => {
  app.route({
    method: ['GET', 'POST'],
    url: '/getLogs',
    handler: async (request, reply) => {
      const asked = decode('LogStruct', request.body)
      const { PodUID: uid, PodName: pod } = asked
      const entry = keeper.get(uid)
      if (!entry) throw new PluginError('PLUGIN_UNKNOWN_POD', { uid })
      const { containers } = entry.outline
      const container =
        asked.ContainerName || (containers.find(({ kind }) => kind === 'main') ?? containers[0]!).name
      if (!containers.some(({ name }) => name === container))
        throw new PluginError('PLUGIN_UNKNOWN_CONTAINER', { container, pod })
      const abort = new AbortController()
      reply.raw.once('close', () => abort.abort())
      const stream = await withSpan(
        'GetLogs',
        { 'k8s.pod.uid': uid },
        () =>
          openLog({
            ...logOptions(asked.Opts),
            dir: entry.dir,
            container,
            pod,
            signal: abort.signal,
            isRunning: () => !hasStopped(entry) && mayRun(entry.outline, entry.state, container)
          }),
        { kind: 'SERVER', parent: extractContext(request.headers) }
      )
      // A log that is followed may be silent for long; that it is there is said at once.
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' })
      reply.raw.flushHeaders()
      await pipeline(stream, reply.raw).catch((err: unknown) =>
        request.log.debug({ err, uid }, 'a log was not read to its end')
      )
    }
  })
}

/** Zero means "not asked", as the protocol has it. */
function logOptions(opts: LogStruct['Opts']) {
  const since = opts.SinceSeconds > 0 ? Date.now() - opts.SinceSeconds * 1000 : Date.parse(opts.SinceTime)
  return {
    previous: opts.Previous,
    timestamps: opts.Timestamps,
    follow: opts.Follow,
    ...(opts.TailNone ? { tailLines: 0 } : opts.Tail > 0 ? { tailLines: opts.Tail } : {}),
    ...(opts.Bytes > 0 ? { limitBytes: opts.Bytes } : {}),
    ...(since > 0 ? { sinceTime: since } : {})
  }
}
