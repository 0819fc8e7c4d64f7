import http from 'node:http'
import https from 'node:https'
import type { IncomingMessage } from 'node:http'
import { InterlinkError, type ErrorCode } from '../errors.ts'

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
  readonly server: string
  /** For connections from now on; those that are open stay. */
  setTls(tls: TlsMaterial): void
  close(): void
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
export function createTransport(url: string, tls?: TlsMaterial): Transport {
  const target = targetOf(url)
  const agentOptions = { keepAlive: true, maxFreeSockets: 64, scheduling: 'lifo' as const }
  const agent =
    target.protocol === 'https:'
      ? new https.Agent({
          ...agentOptions,
          minVersion: 'TLSv1.2',
          ...agentTls(tls)
        })
      : new http.Agent(agentOptions)
  const request = target.protocol === 'https:' ? https.request : http.request

  return {
    server: url,
    // The agent names its sockets after the material, so that none of another is taken.
    setTls(fresh) {
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

function destroyOnAbort(response: IncomingMessage, signal: AbortSignal, server: string): void {
  const abort = () => response.destroy(new InterlinkError('IL_ABORTED', { server }, signal.reason))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  response.once('close', () => signal.removeEventListener('abort', abort))
}

interface Target {
  readonly protocol: 'http:' | 'https:'
  readonly prefix: string
  readonly connect: http.RequestOptions
}

function targetOf(url: string): Target {
  if (url.startsWith('unix://')) {
    const socketPath = url.slice('unix://'.length)
    if (socketPath.startsWith('/'))
      return { protocol: 'http:', prefix: '', connect: { socketPath, host: 'localhost' } }
  }
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:')
    throw new InterlinkError('IL_CONFIG', {
      reason: `url: expected http://host:port, https://host:port or unix:///absolute/path, found "${url}"`
    })
  return {
    protocol: parsed.protocol,
    prefix: parsed.pathname.replace(/\/$/, ''),
    connect: { hostname: parsed.hostname.replace(/^\[|\]$/g, ''), port: parsed.port || undefined }
  }
}

const agentTls = (tls: TlsMaterial = {}) => ({
  cert: tls.cert,
  key: tls.key,
  ca: tls.ca === undefined ? undefined : toPem(tls.ca),
  rejectUnauthorized: !tls.insecure
})

function toPem(ca: string | Buffer): string | Buffer {
  if (typeof ca === 'string' || ca.includes('-----BEGIN')) return ca
  return `-----BEGIN CERTIFICATE-----\n${ca.toString('base64')}\n-----END CERTIFICATE-----\n`
}
