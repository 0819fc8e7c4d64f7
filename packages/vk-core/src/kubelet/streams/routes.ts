import { createWebSocketStream } from 'ws'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { StreamAsk, StreamSession } from '@interlink-ts/interlink-api/client'
import { InterlinkError } from '@interlink-ts/interlink-api/errors'
import {
  acceptWebSocket,
  countStreams,
  keepAlive,
  subprotocolsOf,
  upgradeOf
} from '@interlink-ts/interlink-api/streams'
import type { Metrics } from '@interlink-ts/interlink-api/telemetry'
import type { Pod, StreamKind } from '@interlink-ts/interlink-api/wire'
import { VkError } from '../../errors.ts'
import { SpdyConnection } from '../../streams/spdy/index.ts'
import { containersOf, statusOfContainer } from '../containers.ts'
import type { KubeletPods } from '../pods-of.ts'
import type { Caller } from './caller.ts'
import { portForwardProtocol, servePorts, tunnelProtocols } from './port-forward.ts'
import { parseCommandQuery, type CommandQuery } from './query.ts'
import { relay } from './relay.ts'
import { acceptSpdy, acceptSpdyStreams } from './spdy.ts'
import { acceptChannels, channelProtocols } from './websocket.ts'

interface StreamRoute {
  Params: { namespace: string; pod: string; uid?: string; container?: string }
}

export interface StreamsOptions {
  readonly pods: KubeletPods
  /** Name of the node of a pod, for messages. */
  readonly nodeOf: (namespace: string, pod: string) => string
  readonly metrics: Metrics
}

/**
 * `/exec`, `/attach` and `/portForward`, over SPDY/3.1 and over WebSockets. What is wrong is said before the upgrade,
 * as far as it is known by then. Each session is a line of the log: who, where, what, how long.
 */
export const streams: FastifyPluginAsync<StreamsOptions> = async (app, { pods, nodeOf, metrics }) => {
  const count = countStreams(metrics, 'interlink_vk_streams')
  const method = ['GET', 'POST']

  for (const kind of ['exec', 'attach'] as const)
    for (const url of [`/${kind}/:namespace/:pod/:container`, `/${kind}/:namespace/:pod/:uid/:container`])
      app.route<StreamRoute>({
        method,
        url,
        handler: (request, reply) => command(kind, request, reply)
      })
  for (const url of ['/portForward/:namespace/:pod', '/portForward/:namespace/:pod/:uid'])
    app.route<StreamRoute>({ method, url, handler: ports })
  app.route<StreamRoute>({
    method,
    url: '/run/:namespace/:pod/*',
    handler: async ({ params }) => {
      throw notOffered('run', params)
    }
  })

  function notOffered(
    what: string,
    { namespace, pod }: StreamRoute['Params'],
    backend = 'without a name'
  ): VkError {
    return new VkError('VK_NOT_OFFERED', { what, backend, node: nodeOf(namespace, pod) })
  }

  function podFor(kind: StreamKind, params: StreamRoute['Params']): Pod {
    const { namespace, pod: name, uid } = params
    const pod = pods.get(namespace, name)
    if (!pod || (uid !== undefined && pod.metadata.uid !== uid))
      throw new VkError('VK_POD_NOT_FOUND', { namespace, pod: name })
    const { capabilities, backend, hasAnswered } = pods.backendOf(pod)
    if (!hasAnswered) throw new VkError('VK_NO_ANSWER_YET', { what: kind, node: nodeOf(namespace, name) })
    if (!capabilities.has(kind)) throw notOffered(kind, params, backend)
    return pod
  }

  async function command(
    kind: 'exec' | 'attach',
    request: FastifyRequest<StreamRoute>,
    reply: FastifyReply
  ): Promise<void> {
    const { container = '' } = request.params
    const pod = podFor(kind, request.params)
    assertRunning(pod, container)
    const query = parseCommandQuery(request.url)
    if (kind === 'exec' && query.command.length === 0)
      throw new VkError('VK_INVALID_STREAM', {
        option: 'command',
        reason: 'you must specify at least 1 command'
      })
    const accept = acceptCommand(kind, request, reply)
    const { stdin, tty } = query
    const ask = { container, stdin, tty }
    const session = await openSession(
      pod,
      kind === 'exec' ? { kind, ...ask, command: [...query.command] } : { kind, ...ask }
    )
    const started = performance.now()
    count(kind, 1)
    try {
      const caller = await accept(query).catch((error: unknown) => {
        session.destroy()
        throw error
      })
      const { status, bytesIn, bytesOut } = await relay(caller, session)
      request.log.info(
        {
          ...audit(request, kind, started),
          container,
          // Arguments may be secret.
          ...(kind === 'exec' && { command: query.command[0] }),
          tty,
          bytesIn,
          bytesOut,
          outcome:
            status.details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message ?? status.status
        },
        'stream closed'
      )
    } catch (error) {
      if (!reply.sent) throw error
      request.log.info({ ...audit(request, kind, started), container, err: error }, 'stream not opened')
    } finally {
      count(kind, -1)
    }
  }

  async function ports(request: FastifyRequest<StreamRoute>, reply: FastifyReply): Promise<void> {
    const kind = 'portforward'
    const pod = podFor(kind, request.params)
    const connection = await acceptPorts(request, reply).catch((error: unknown) => {
      if (!reply.sent) throw error
    })
    // The caller left in the middle of the handshake.
    if (!connection) return
    const started = performance.now()
    let connections = 0
    count(kind, 1)
    await servePorts(connection, {
      pod: pod.metadata.name ?? '',
      open(port, signal) {
        connections++
        return openSession(pod, { kind, port }, signal)
      }
    })
    count(kind, -1)
    request.log.info({ ...audit(request, kind, started), connections }, 'stream closed')
  }

  async function openSession(
    pod: Pod,
    ask: StreamAsk,
    signal: AbortSignal = new AbortController().signal
  ): Promise<StreamSession> {
    try {
      return await pods.stream(pod, ask, signal)
    } catch (error) {
      const { namespace = '', name = '' } = pod.metadata
      if (error instanceof InterlinkError && error.status === 501)
        throw notOffered(ask.kind, { namespace, pod: name }, pods.backendOf(pod).backend)
      const reason = error instanceof Error ? error.message : String(error)
      throw new VkError('VK_STREAM_FAILED', { what: ask.kind, reason }, error)
    }
  }
}

const audit = (request: FastifyRequest<StreamRoute>, kind: StreamKind, started: number) => ({
  kind,
  user: request.caller,
  namespace: request.params.namespace,
  pod: request.params.pod,
  seconds: Math.round(performance.now() - started) / 1000
})

/** The way to answer the caller's protocol; what it is, is looked at before anything is started. */
function acceptCommand(
  what: string,
  request: FastifyRequest,
  reply: FastifyReply
): (query: CommandQuery) => Promise<Caller> {
  const found = upgradeOf(request)?.protocol
  if (found === 'spdy/3.1') return (query) => acceptSpdyStreams(request, reply, query)
  const offered = subprotocolsOf(request)
  const protocol = channelProtocols.find((name) => offered.includes(name))
  if (found === 'websocket' && protocol) return (query) => acceptChannels(request, reply, protocol, query)
  throw wrongProtocol(what, request, channelProtocols)
}

async function acceptPorts(request: FastifyRequest, reply: FastifyReply) {
  const found = upgradeOf(request)?.protocol
  if (found === 'spdy/3.1') return acceptSpdy(request, reply, portForwardProtocol)
  const offered = subprotocolsOf(request)
  const protocol = tunnelProtocols.find((name) => offered.includes(name))
  if (found === 'websocket' && protocol) {
    const socket = await acceptWebSocket(request, reply, protocol)
    keepAlive(socket, { givesUp: false })
    return new SpdyConnection(createWebSocketStream(socket))
  }
  throw wrongProtocol('portforward', request, tunnelProtocols.slice(0, 1))
}

function wrongProtocol(what: string, request: FastifyRequest, protocols: readonly string[]): VkError {
  const found = [upgradeOf(request)?.protocol ?? 'none', ...subprotocolsOf(request)].join(', ')
  const expected = `SPDY/3.1, or a WebSocket of ${protocols.join(' or ')}`
  return new VkError('VK_STREAM_PROTOCOL', { what, expected, found })
}

function assertRunning(pod: Pod, container: string): void {
  const name = pod.metadata.name ?? ''
  if (!containersOf(pod).includes(container))
    throw new VkError('VK_CONTAINER_NOT_FOUND', { container, pod: name })
  if (!statusOfContainer(pod, container)?.state?.running)
    throw new VkError('VK_NOT_RUNNING', { container, pod: name })
}
