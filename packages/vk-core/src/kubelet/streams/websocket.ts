import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  acceptWebSocket,
  Channels,
  channel,
  keepAlive,
  readSize,
  upgradeOf
} from '@interlink-ts/interlink-api/streams'
import { nodeStops, type Caller } from './caller.ts'
import type { CommandQuery } from './query.ts'

/** Best first. The second cannot tell the end of stdin. */
export const channelProtocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const

/** An exec or attach over one WebSocket, as newer API servers pass them on and older clients speak it. */
export async function acceptChannels(
  request: FastifyRequest,
  reply: FastifyReply,
  protocol: string,
  query: CommandQuery
): Promise<Caller> {
  const socket = await acceptWebSocket(request, reply, protocol)
  keepAlive(socket, { givesUp: false })
  const channels = new Channels(socket, { tellsEnds: false })
  const left = new AbortController()
  channels.once('close', () => left.abort())
  const sizes: [number, number][] = []
  let onSize = (columns: number, rows: number): void => {
    sizes.push([columns, rows])
  }
  channels.on('message', (id, body) => {
    const size = id === channel.resize ? readSize(body.toString()) : undefined
    if (size) onSize(size.columns, size.rows)
  })
  const { goodbye } = upgradeOf(request)!
  upgradeOf(request)!.goodbye = () => {
    channels.send(channel.status, JSON.stringify(nodeStops)).then(goodbye, goodbye)
  }
  const caller: Caller = {
    stdin: query.stdin ? channels.reader(channel.stdin) : undefined,
    stdout: query.stdout ? channels.writer(channel.stdout) : undefined,
    stderr: query.stderr ? channels.writer(channel.stderr) : undefined,
    onResize(listener) {
      onSize = listener
      for (const size of sizes.splice(0)) listener(...size)
    },
    async end(status) {
      await channels.send(channel.status, JSON.stringify(status))
      channels.end()
    },
    left: left.signal
  }
  // Clients take the first message for the sign that they are connected.
  await channels.send(query.stdout ? channel.stdout : channel.stderr, '').catch(() => {})
  return caller
}
