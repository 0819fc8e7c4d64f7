import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Upgraded } from '../../client/transport.ts'
import { InterlinkError } from '../../errors.ts'
import { countStreams } from '../../streams/count-streams.ts'
import { takeOver, upgradeOf } from '../../streams/upgrades.ts'
import {
  ErrorBody,
  sessionHeader,
  streamKinds,
  streamProtocol,
  type StreamKind
} from '../../wire/messages.ts'
import { callOptions, nodeOf, traced, type ApiContext } from '../context.ts'
import { atOwner } from '../plugin-link.ts'
import { candidates } from '../routing.ts'

/** The part of a handshake that is between the two ends. */
const handshake = /^(connection|upgrade|sec-websocket-.*)$/

/**
 * `/exec`, `/attach` and `/portforward`: the handshake goes on to the plugin and its answer back; then bytes pass as
 * they come, both ways. What is in them is between the two ends.
 */
export const streamRoutes: FastifyPluginAsyncTypebox<ApiContext> = async (app, { plugins, metrics }) => {
  const count = countStreams(metrics, 'interlink_api_streams')

  for (const kind of streamKinds)
    app.get(
      `/${kind}`,
      {
        schema: {
          summary: `A WebSocket of subprotocol ${streamProtocol}; see the documentation of the protocol.`,
          querystring: Type.Object({
            uid: Type.String({ minLength: 1 }),
            ...(kind === 'portforward'
              ? { port: Type.String({ pattern: '^[0-9]{1,5}$', 'x-expected': 'a port number' }) }
              : { container: Type.String({ minLength: 1 }) })
          }),
          response: { '4xx': ErrorBody, '5xx': ErrorBody }
        }
      },
      async (request, reply) => {
        if (upgradeOf(request)?.protocol !== 'websocket')
          throw new InterlinkError('IL_UPGRADE_REQUIRED', { path: `/${kind}`, subprotocol: streamProtocol })
        const uid = request.query.uid
        const remote = await traced(request, `${kind}API`, { 'pod.uid': uid }, () =>
          openRemote(kind, request)
        )
        const started = Date.now()
        count(kind, 1)
        passThrough(remote, request, reply, () => {
          count(kind, -1)
          request.log.info({ kind, uid, seconds: (Date.now() - started) / 1000 }, 'stream closed')
        })
      }
    )

  async function openRemote(kind: StreamKind, request: FastifyRequest): Promise<Upgraded> {
    const options = callOptions(request)
    const headers = Object.fromEntries(
      Object.entries(request.headers).filter(
        (header): header is [string, string] => handshake.test(header[0]) && typeof header[1] === 'string'
      )
    )
    const call = { ...options, headers: { ...options.headers, ...headers } }
    const asked = candidates(plugins, { node: nodeOf(request) })
    return atOwner(asked, kind, options, ({ client }) => client.openUpgrade(request.url, call))
  }
}

function passThrough(
  { response, socket: remote, head: answered }: Upgraded,
  request: FastifyRequest,
  reply: FastifyReply,
  onEnd: () => void
): void {
  const { socket, head } = takeOver(request, reply)
  const headers = Object.entries(response.headers).filter(([name]) => handshake.test(name))
  socket.write(
    [
      'HTTP/1.1 101 Switching Protocols',
      ...headers.map(([name, value]) => `${name}: ${String(value)}`),
      `${sessionHeader}: ${request.id}`,
      '\r\n'
    ].join('\r\n')
  )
  if (answered.length > 0) socket.write(answered)
  if (head.length > 0) remote.write(head)
  socket.pipe(remote)
  remote.pipe(socket)
  let left = 2
  for (const [one, other] of [
    [socket, remote],
    [remote, socket]
  ] as const) {
    one.on('error', () => one.destroy())
    one.once('close', () => {
      other.end(() => other.destroy())
      if (--left === 0) onEnd()
    })
  }
}
