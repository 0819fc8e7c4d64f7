import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { InterlinkError, type ErrorCode } from '../errors.ts'
import { errorFrom } from './answer.ts'

/** PEM texts (a CA may be DER too, as the reference has it). */
export interface TlsMaterial {
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
  readonly ca?: string | Buffer
  /** Accepts any certificate of the server. */
  readonly insecure?: boolean
}

export interface Call {
  readonly method: string
  /** Path and query, appended to the path of the base URL. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** Milliseconds until the answer's headers must be there. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal
}

/** Calls one server over HTTP, HTTPS or a unix socket with kept-alive connections. */
export interface Transport {
  /** Resolves at the answer's headers, whatever the status. The stream then is the caller's to read or destroy. */
  send(call: Call): Promise<IncomingMessage>
  /** Asks for another protocol over a connection of its own; an answer that is none is an error. */
  upgrade(call: Omit<Call, 'method' | 'body'>): Promise<Upgraded>
  /** A connection of its own, for whoever speaks HTTP by itself. */
  connect(): net.Socket
  /** What a path is appended to for a WebSocket over {@link connect}. */
  readonly webSocketBase: string
  /** TLS or a Unix socket: what stands between sees nothing of the bytes. */
  readonly isPrivate: boolean
  readonly server: string
  /** For connections from now on; those that are open stay. */
  setTls(tls: TlsMaterial): void
  close(): void
}

/** A connection that has changed its protocol. */
export interface Upgraded {
  readonly response: IncomingMessage
  readonly socket: Duplex
  /** What came behind the head of the answer. */
  readonly head: Buffer
}

const notConnected = new Set([
  'ECONNREFUSED',
  'ENOENT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EACCES'
])

/**
 * @param url `http://host:port[/prefix]`, `https://…` or `unix:///path`
 * @throws InterlinkError `IL_CONFIG` for another scheme.
 */
export function createTransport(url: string, tlsMaterial?: TlsMaterial): Transport {
  const target = targetOf(url)
  let material = tlsMaterial
  const agentOptions = { keepAlive: true, maxFreeSockets: 64, scheduling: 'lifo' as const }
  const agent =
    target.protocol === 'https:'
      ? new https.Agent({
          ...agentOptions,
          minVersion: 'TLSv1.2',
          ...agentTls(material)
        })
      : new http.Agent(agentOptions)
  const request = target.protocol === 'https:' ? https.request : http.request
  const connect = (): net.Socket => {
    const { socketPath, hostname, port } = target.connect
    if (socketPath) return net.connect(socketPath)
    const host = hostname ?? undefined
    if (target.protocol === 'http:') return net.connect({ host, port: Number(port ?? 80) })
    const servername = host && !net.isIP(host) ? { servername: host } : {}
    return tls.connect({
      host,
      port: Number(port ?? 443),
      minVersion: 'TLSv1.2',
      ...servername,
      ...agentTls(material)
    })
  }

  return {
    server: url,
    webSocketBase: `ws://${target.authority}${target.prefix}`,
    isPrivate: target.protocol === 'https:' || target.connect.socketPath !== undefined,
    connect,
    upgrade: ({ path, headers, timeoutMs, signal }) =>
      new Promise((resolve, reject) => {
        const req = http.request({
          ...target.connect,
          createConnection: connect,
          method: 'GET',
          path: target.prefix + path,
          headers,
          timeout: timeoutMs,
          ...(signal && { signal })
        })
        req.once('upgrade', (response, socket, head) => {
          socket.setTimeout(0)
          resolve({ response, socket, head })
        })
        req.once('response', (response) => {
          errorFrom(response, url).then(reject, reject)
        })
        req.once('timeout', () =>
          req.destroy(new InterlinkError('IL_TIMEOUT', { server: url, ms: timeoutMs }))
        )
        req.once('error', (error) => reject(unreachable(url, error)))
        req.end()
      }),
    // The agent names its sockets after the material, so that none of another is taken.
    setTls(fresh) {
      material = fresh
      if (agent instanceof https.Agent) Object.assign(agent.options, agentTls(fresh))
    },
    close: () => agent.destroy(),
    send: (call) =>
      new Promise((resolve, reject) => {
        let connected = false
        const failed = (code: ErrorCode, details: Record<string, unknown>, cause?: unknown) =>
          reject(new InterlinkError(code, { server: url, connected, ...details }, cause))
        const req = request({
          ...target.connect,
          agent,
          method: call.method,
          path: target.prefix + call.path,
          headers: {
            ...call.headers,
            ...(call.body === undefined
              ? { 'content-length': '0' }
              : {
                  'content-type': 'application/json',
                  'content-length': String(Buffer.byteLength(call.body))
                })
          }
        })
        const timer = setTimeout(() => {
          failed(connected ? 'IL_TIMEOUT' : 'IL_UNREACHABLE', {
            ms: call.timeoutMs,
            reason: 'no connection in time'
          })
          req.destroy()
        }, call.timeoutMs)
        const abort = () => {
          failed('IL_ABORTED', {}, call.signal?.reason)
          req.destroy()
        }
        req.on('socket', (socket) => {
          if (!socket.connecting) connected = true
          else
            socket.once(target.protocol === 'https:' ? 'secureConnect' : 'connect', () => (connected = true))
        })
        req.on('response', (response) => {
          clearTimeout(timer)
          call.signal?.removeEventListener('abort', abort)
          if (call.signal) destroyOnAbort(response, call.signal, url)
          resolve(response)
        })
        req.on('error', (error: NodeJS.ErrnoException) => {
          clearTimeout(timer)
          call.signal?.removeEventListener('abort', abort)
          const reason = error.code ?? error.message
          if (!connected || notConnected.has(error.code ?? '')) failed('IL_UNREACHABLE', { reason }, error)
          else failed('IL_CONNECTION_LOST', { reason, reused: req.reusedSocket }, error)
        })
        if (call.signal?.aborted) return abort()
        call.signal?.addEventListener('abort', abort, { once: true })
        req.end(call.body)
      })
  }
}

/** Why there is no connection, of which nothing has been used yet. */
export function unreachable(server: string, error: NodeJS.ErrnoException): InterlinkError {
  if (error instanceof InterlinkError) return error
  if (error.name === 'AbortError') return new InterlinkError('IL_ABORTED', { server }, error)
  return new InterlinkError('IL_UNREACHABLE', { server, reason: error.code ?? error.message }, error)
}

function destroyOnAbort(response: IncomingMessage, signal: AbortSignal, server: string): void {
  const abort = () => response.destroy(new InterlinkError('IL_ABORTED', { server }, signal.reason))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  response.once('close', () => signal.removeEventListener('abort', abort))
}

interface Target {
  readonly protocol: 'http:' | 'https:'
  readonly prefix: string
  /** Of the Host header. */
  readonly authority: string
  readonly connect: http.RequestOptions
}

function targetOf(url: string): Target {
  if (url.startsWith('unix://')) {
    const socketPath = url.slice('unix://'.length)
    if (socketPath.startsWith('/'))
      return {
        protocol: 'http:',
        prefix: '',
        authority: 'localhost',
        connect: { socketPath, host: 'localhost' }
      }
  }
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:')
    throw new InterlinkError('IL_CONFIG', {
      reason: `url: expected http://host:port, https://host:port or unix:///absolute/path, found "${url}"`
    })
  return {
    protocol: parsed.protocol,
    prefix: parsed.pathname.replace(/\/$/, ''),
    authority: parsed.host,
    connect: { hostname: parsed.hostname.replace(/^\[|\]$/g, ''), port: parsed.port || undefined }
  }
}

const agentTls = ({ cert, key, ca, insecure }: TlsMaterial = {}) => ({
  cert,
  key,
  ca: ca === undefined ? undefined : toPem(ca),
  rejectUnauthorized: !insecure
})

function toPem(ca: string | Buffer): string | Buffer {
  if (typeof ca === 'string' || ca.includes('-----BEGIN')) return ca
  return `-----BEGIN CERTIFICATE-----\n${ca.toString('base64')}\n-----END CERTIFICATE-----\n`
}
