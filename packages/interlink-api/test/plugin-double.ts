import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Recorded {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface PluginDouble {
  readonly url: string
  readonly calls: Recorded[]
  close(): Promise<void>
}

type Handler = (
  call: Recorded & { json: unknown },
  response: ServerResponse,
  request: IncomingMessage
) => void

/** A plugin on a real socket that answers as a test tells it to, and remembers what it was asked. */
export async function startPluginDouble(
  handler: Handler,
  listen: { path?: string } = {}
): Promise<PluginDouble> {
  const calls: Recorded[] = []
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      const call = { method: request.method!, path: request.url!, headers: request.headers, body }
      calls.push(call)
      handler({ ...call, json: jsonOf(body) }, response, request)
    })
  })
  await new Promise<void>((resolve) =>
    listen.path ? server.listen(listen.path, resolve) : server.listen(0, '127.0.0.1', resolve)
  )
  const url = listen.path
    ? `unix://${listen.path}`
    : `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    calls,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

/** Answers JSON. */
export function answer(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

export interface PodInput {
  readonly uid: string
  readonly name?: string
  readonly nodeName?: string
  readonly labels?: Record<string, string>
}

export const podOf = ({ uid, name = `pod-${uid.slice(0, 4)}`, nodeName = 'vk', labels }: PodInput) => ({
  metadata: { name, namespace: 'default', uid, ...(labels ? { labels } : {}) },
  spec: { nodeName, containers: [{ name: 'main', image: 'host' }] }
})

export const uidOf = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`

export const statusOf = (uid: string, more: object = {}) => ({
  name: `pod-${uid.slice(0, 4)}`,
  UID: uid,
  namespace: 'default',
  JID: '1',
  containers: [{ name: 'main', state: { running: { startedAt: '2026-01-02T03:04:05Z' } }, ready: true }],
  initContainers: null,
  ...more
})
