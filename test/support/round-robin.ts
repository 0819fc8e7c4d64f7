import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'

export interface RoundRobin {
  url: string
  close(): Promise<void>
}

/**
 * Sends each request to the next of the targets; one that refuses the connection is passed over, as a load
 * balancer does. A request that has reached a target is never sent twice.
 */
export async function startRoundRobin(targets: readonly string[]): Promise<RoundRobin> {
  let turn = 0
  const server = createServer((incoming, answer) => {
    const body: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => body.push(chunk))
    incoming.on('end', () => forward(incoming, Buffer.concat(body), answer, targets.length))
  })
  const forward = (incoming: IncomingMessage, body: Buffer, answer: ServerResponse, tries: number): void => {
    const target = targets[turn++ % targets.length]!
    const headers = { ...incoming.headers, 'content-length': String(body.length) }
    delete headers['transfer-encoding']
    const outgoing = request(
      target + incoming.url!,
      { method: incoming.method!, headers, agent: false },
      (reply) => {
        answer.writeHead(reply.statusCode!, reply.headers)
        reply.pipe(answer)
        reply.on('error', () => answer.destroy())
      }
    )
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      if (answer.headersSent) answer.destroy()
      else if (error.code === 'ECONNREFUSED' && tries > 1) forward(incoming, body, answer, tries - 1)
      else answer.writeHead(502, { 'content-type': 'text/plain' }).end(String(error))
    })
    answer.on('close', () => outgoing.destroy())
    outgoing.end(body)
  }
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    const target = targets[turn++ % targets.length]!
    const outgoing = request(target + incoming.url!, { headers: incoming.headers, agent: false })
    const begin = ({ httpVersion, statusCode, statusMessage, rawHeaders }: IncomingMessage) => {
      const headers = rawHeaders.flatMap((name, at) => (at % 2 ? [] : [`${name}: ${rawHeaders[at + 1]}\r\n`]))
      socket.write(`HTTP/${httpVersion} ${statusCode} ${statusMessage}\r\n${headers.join('')}\r\n`)
    }
    outgoing.on('upgrade', (answer, remote, more) => {
      begin(answer)
      socket.write(more)
      remote.write(head)
      socket.pipe(remote).pipe(socket)
      for (const [one, other] of [
        [socket, remote],
        [remote, socket]
      ] as const)
        one.on('error', () => one.destroy()).on('close', () => other.destroy())
    })
    outgoing.on('response', (answer) => {
      begin(answer)
      answer.pipe(socket)
    })
    outgoing.on('error', () => socket.destroy())
    socket.on('error', () => outgoing.destroy())
    outgoing.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}
