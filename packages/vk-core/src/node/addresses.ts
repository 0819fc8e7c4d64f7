import { createSocket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { isLoopback } from '../config.ts'

/** The address of this machine that faces the API server; no packet is sent to learn it. */
export async function addressTowards(server: string): Promise<string> {
  const { hostname, port, protocol } = new URL(server)
  const host = hostname.replace(/^\[|\]$/g, '')
  if (isLoopback(host)) return '127.0.0.1'
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.connect(Number(port || (protocol === 'http:' ? 80 : 443)), host, resolve)
    })
    return socket.address().address
  } catch {
    return firstPublicAddress() ?? '127.0.0.1'
  } finally {
    socket.close()
  }
}

function firstPublicAddress(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return all.find(({ internal, family }) => !internal && family === 'IPv4')?.address
}
