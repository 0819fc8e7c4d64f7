import { createServer, request, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import type { Test } from 'tap'
import type { IncusLab } from '@interlink-ts/dev-cluster/incus'

/** What a server says of virtual machines in this double. */
export interface MachineDouble {
  readonly url: string
  /** The agents of machines answer; until then each says that it does not run. @default false */
  agents: boolean
  /** Bodies of all `PUT …/state`, in order. */
  readonly changes: readonly Readonly<Record<string, unknown>>[]
}

let counter = 0

/**
 * A TEST DOUBLE of virtual machines, which cannot start where these tests run: a real daemon seen through a socket that
 * makes what is asked as a virtual machine a container with the image's own init, and tells of it as of a machine.
 * Everything else is the daemon's. What it adds is what Incus documents and says of machines: `driver` of `/1.0`, the
 * type, `processes: -1` of a state (api.InstanceState), and the words of a missing agent, for files and programs.
 * @param making false: requests go on as they are, for the daemon's own answer
 */
export async function startMachineDouble(t: Test, lab: IncusLab, making = true): Promise<MachineDouble> {
  const path = join(lab.dir, `machines-${++counter}.sock`)
  const changes: Record<string, unknown>[] = []
  const double = { url: `unix://${path}`, agents: false, changes }
  const noAgent = JSON.stringify({
    type: 'error',
    error: "VM agent isn't currently running",
    error_code: 400
  })
  const needsAgent = (url: string) =>
    making && !double.agents && /\/instances\/[^/]+\/(files|exec)\b/.test(url)

  const server = createServer((asked, answer) => {
    void (async () => {
      const { method = '', url = '', headers } = asked
      const body = asBody(asked, await buffer(asked), making)
      if (method === 'PUT' && /\/state\b/.test(url))
        changes.push(JSON.parse(body.toString()) as Record<string, unknown>)
      if (needsAgent(url)) return answer.writeHead(400).end(noAgent)
      const further = { ...headers, 'content-length': String(body.length) }
      delete (further as Record<string, unknown>)['transfer-encoding']
      const { statusCode, headers: answered, bytes } = await ask(lab.socket, method, url, further, body)
      const told = asTold(method, url, bytes, double.agents, making)
      const sent = { ...answered, 'content-length': String(told.length) }
      delete (sent as Record<string, unknown>)['transfer-encoding']
      answer.writeHead(statusCode, sent).end(told)
    })().catch((error: unknown) => answer.destroy(error as Error))
  })
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => open.add(socket.on('error', () => {})))
  server.on('upgrade', (asked: IncomingMessage, socket: Socket, head: Buffer) => {
    const far = connect(lab.socket)
    open.add(far)
    for (const [one, other] of [
      [socket, far],
      [far, socket]
    ] as const)
      one.on('error', () => {}).on('close', () => other.destroy())
    const lines = asked.rawHeaders.flatMap((name, at, all) =>
      at % 2 === 0 ? [`${name}: ${all[at + 1]}`] : []
    )
    far.write(`${asked.method} ${asked.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
    far.write(head)
    socket.pipe(far).pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return double
}

function asBody({ method, url = '' }: IncomingMessage, body: Buffer, making: boolean): Buffer {
  if (!making || method !== 'POST' || !/^\/1\.0\/instances(\?|$)/.test(url)) return body
  const wished = JSON.parse(body.toString()) as { type: string; config: Record<string, string> }
  if (wished.type !== 'virtual-machine') return body
  const { 'security.secureboot': _, ...config } = wished.config
  return Buffer.from(
    JSON.stringify({ ...wished, type: 'container', config: { ...config, 'user.double': 'machine' } })
  )
}

interface Told {
  type?: string
  config?: Record<string, string>
  processes?: number
  environment?: { driver: string }
}

function asTold(method: string, url: string, bytes: Buffer, agents: boolean, making: boolean): Buffer {
  if (method !== 'GET' || /\/files\b/.test(url)) return bytes
  const answer = JSON.parse(bytes.toString()) as { metadata: Told | Told[] }
  for (const one of [answer.metadata].flat()) {
    if (one?.config?.['user.double'] === 'machine') one.type = 'virtual-machine'
    if (one?.environment) one.environment.driver = 'lxc | qemu'
    if (making && !agents && one?.processes !== undefined && /\/state\b/.test(url)) one.processes = -1
  }
  return Buffer.from(JSON.stringify(answer))
}

async function ask(socketPath: string, method: string, path: string, headers: object, body: Buffer) {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ socketPath, method, path, headers: { ...headers } }, resolve)
      .on('error', reject)
      .end(body)
  })
  return { statusCode: answer.statusCode!, headers: answer.headers, bytes: await buffer(answer) }
}
