/** exec, attach and port-forward: the caller's upgraded connection is joined with one to the kubelet port of the node. */
import { once } from 'node:events'
import { ServerResponse, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { ApiError, badRequest } from '../errors.ts'
import type { KubeObject } from '../object.ts'
import type { ApiContext, Call } from './context.ts'
import { containerOf, nodeOf } from './containers.ts'
import { kubeletOf, refusal } from './kubelet.ts'

export type StreamKind = 'exec' | 'attach' | 'portforward'

interface Upgraded {
  readonly socket: Duplex
  /** What came behind the head. */
  readonly head: Buffer
}

const asked = new WeakMap<IncomingMessage, Upgraded>()

/** Lets requests that ask for another protocol through the routes. To be called once, before the server listens. */
export function routeUpgrades(app: FastifyInstance): void {
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    asked.set(request, { socket, head })
    socket.on('error', () => socket.destroy())
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(socket as Parameters<ServerResponse['assignSocket']>[0])
    response.once('finish', () => socket.end(() => socket.destroy()))
    app.routing(request, response)
  })
}

/** The part of a handshake that is between the caller and the node. */
const handshake = /^(connection|upgrade|sec-websocket-.*|x-stream-protocol-version)$/

/** What is said in it passes as it is. @throws ApiError of the node where it refuses */
export async function stream(context: ApiContext, call: Call, kind: StreamKind): Promise<unknown> {
  const { request, reply, target } = call
  const caller = asked.get(request.raw)
  if (!caller) throw badRequest('Upgrade request required')
  const pod = context.cluster.store.get(target.resource, target.namespace, target.name!)
  const node = nodeOf(pod)
  const query = new URL(request.url, 'https://api').searchParams
  const outgoing = httpsRequest({
    ...kubeletOf(context, node),
    method: request.method,
    path: pathOf(kind, pod, query),
    agent: false,
    headers: Object.fromEntries(
      Object.entries(request.raw.headersDistinct).filter(([name]) => handshake.test(name))
    )
  })
  outgoing.end()
  const leave = () => outgoing.destroy()
  caller.socket.once('close', leave)
  const answered = once(outgoing, 'response').then(async ([answer]) => {
    throw await refusal(answer as IncomingMessage, (answer as IncomingMessage).statusCode ?? 502, node)
  })
  const [answer, socket, head] = (await Promise.race([once(outgoing, 'upgrade'), answered]).catch(
    (error: unknown) => {
      if (error instanceof ApiError) throw error
      throw new ApiError(500, 'InternalError', `error dialing backend: ${(error as Error).message}`)
    }
  )) as [IncomingMessage, Duplex, Buffer]
  caller.socket.off('close', leave)
  reply.hijack()
  reply.raw.detachSocket(caller.socket as Parameters<ServerResponse['detachSocket']>[0])
  caller.socket.write(headOf(answer))
  join(caller, { socket, head }, context.closing)
  return reply
}

const headOf = ({ headersDistinct }: IncomingMessage): string =>
  [
    'HTTP/1.1 101 Switching Protocols',
    ...Object.entries(headersDistinct)
      .filter(([name]) => handshake.test(name))
      .flatMap(([name, values = []]) => values.map((value) => `${name}: ${value}`)),
    '\r\n'
  ].join('\r\n')

function join(one: Upgraded, other: Upgraded, closing: AbortSignal): void {
  for (const [from, to] of [
    [one, other],
    [other, one]
  ] as const) {
    if (from.head.length > 0) to.socket.write(from.head)
    from.socket.pipe(to.socket)
    from.socket.on('error', () => from.socket.destroy())
    from.socket.once('close', () => to.socket.destroy())
  }
  const end = () => one.socket.destroy()
  closing.addEventListener('abort', end, { once: true })
  one.socket.once('close', () => closing.removeEventListener('abort', end))
}

/** Names of the API's options at a kubelet. Source: k8s.io/kubernetes/pkg/registry/core/pod, streamParams. */
const options = { stdin: 'input', stdout: 'output', stderr: 'error', tty: 'tty' } as const

function pathOf(kind: StreamKind, pod: KubeObject, query: URLSearchParams): string {
  const { namespace, name } = pod.metadata
  if (kind === 'portforward') return `/portForward/${namespace}/${name}`
  const wanted = new URLSearchParams()
  for (const [option, atKubelet] of Object.entries(options))
    if (/^(true|1)$/.test(query.get(option) ?? '')) wanted.set(atKubelet, '1')
  for (const word of query.getAll('command')) wanted.append('command', word)
  const container = containerOf(pod, query.get('container') ?? undefined)
  return `/${kind}/${namespace}/${name}/${container}?${wanted}`
}
