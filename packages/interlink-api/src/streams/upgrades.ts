/** Requests that ask for another protocol go through the routes of fastify, and so through all its hooks. */
import { once } from 'node:events'
import { ServerResponse, type IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { WebSocketServer, type WebSocket } from 'ws'
import { maxMessage } from './channels.ts'

export interface Upgrade {
  /** `websocket`, or another protocol in lower case. */
  readonly protocol: string
  readonly socket: Duplex
  /** What came behind the head of the request. */
  readonly head: Buffer
  /** Ends the connection as its protocol has it, when the server closes. */
  goodbye(): void
}

/** Idle time after which the kernel looks whether the peer is there. */
const keepAliveMs = 30_000
/** How long goodbyes may take to arrive. */
const lingerMs = 1000

const asked = new WeakMap<IncomingMessage, Upgrade>()

/** To be called once for a server, before it listens. Connections that were taken end when the server closes. */
export function routeUpgrades(app: FastifyInstance): void {
  const open = new Map<Duplex, Upgrade>()
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const upgrade = {
      protocol: (request.headers.upgrade ?? '').toLowerCase(),
      socket,
      head,
      goodbye: () => void socket.end()
    }
    open.set(socket, upgrade)
    asked.set(request, upgrade)
    socket.once('close', () => open.delete(socket))
    socket.on('error', () => socket.destroy())
    if (socket instanceof Socket) socket.setKeepAlive(true, keepAliveMs).setNoDelay(true)
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(socket as Parameters<ServerResponse['assignSocket']>[0])
    response.once('finish', () => socket.end(() => socket.destroy()))
    app.routing(request, response)
  })
  app.addHook('preClose', async () => {
    const gone = [...open].map(async ([socket, upgrade]) => {
      upgrade.goodbye()
      await Promise.race([once(socket, 'close'), sleep(lingerMs)])
      socket.destroy()
    })
    await Promise.all(gone)
  })
}

/** What the caller asks for; undefined for a plain request. */
export const upgradeOf = (request: FastifyRequest): Upgrade | undefined => asked.get(request.raw)

/** From here on the connection is the handler's: fastify answers nothing any more. */
export function takeOver(request: FastifyRequest, reply: FastifyReply): Upgrade {
  const upgrade = asked.get(request.raw)
  if (!upgrade) throw new Error('not an upgrade')
  // Nothing would ever come of it.
  if (upgrade.socket.destroyed) throw new Error('the caller has left')
  reply.hijack()
  reply.raw.detachSocket(upgrade.socket as Parameters<ServerResponse['detachSocket']>[0])
  return upgrade
}

/** RFC 6455, 7.4.1 */
const goingAway = 1001

const servers = new Map<string, WebSocketServer>()

/**
 * Answers a WebSocket handshake.
 * @param subprotocol that the caller has offered and gets; others are none
 */
export function acceptWebSocket(
  request: FastifyRequest,
  reply: FastifyReply,
  subprotocol: string
): Promise<WebSocket> {
  const server =
    servers.get(subprotocol) ??
    new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: maxMessage,
      handleProtocols: () => subprotocol
    })
  servers.set(subprotocol, server)
  const upgrade = takeOver(request, reply)
  const { socket, head } = upgrade
  return new Promise((resolve, reject) => {
    // A handshake that is none is answered by the server itself.
    const failed = (): void => reject(new Error('the connection was closed'))
    socket.once('close', failed)
    server.handleUpgrade(request.raw, socket, head, (accepted) => {
      socket.off('close', failed)
      upgrade.goodbye = () => accepted.close(goingAway)
      resolve(accepted)
    })
  })
}

/** What a WebSocket client offers, best first. */
export const subprotocolsOf = (request: FastifyRequest): readonly string[] =>
  (request.headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean)
