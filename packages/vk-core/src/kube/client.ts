/** The Kubernetes API over kept-alive connections: JSON in, JSON out, errors as {@link KubeError}. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, ProxyAgent, type Dispatcher } from 'undici'
import { KubeError, type StatusBody } from './errors.ts'
import type { Credentials, KubeConfig } from './kubeconfig.ts'
import { readLines } from './read-lines.ts'
import type { CallOptions, KubeClient, PatchType, Query, WatchLine } from './types.ts'

export interface KubeClientOptions {
  readonly userAgent: string
  /** Connections for calls; every watch has one of its own besides. @default 32 */
  readonly connections?: number
  /** Deadline of one call in milliseconds, retries for 429 not counted. @default 30000 */
  readonly timeoutMs?: number
}

const contentTypes: Record<PatchType, string> = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json'
}
const maxThrottled = 10
const maxRetryAfterSeconds = 30

interface Call {
  readonly method: Dispatcher.HttpMethod
  readonly path: string
  readonly query: Query | undefined
  readonly body?: unknown
  readonly contentType?: string
  readonly options: CallOptions | undefined
}

export function createKubeClient(config: KubeConfig, options: KubeClientOptions): KubeClient {
  const transport = createTransport(config, options.connections ?? 32)
  const base = new URL(config.server)
  const prefix = base.pathname.replace(/\/$/, '')
  const timeoutMs = options.timeoutMs ?? 30_000

  async function request(call: Call, signal: AbortSignal | undefined, streaming: boolean) {
    let refresh = false
    for (let throttled = 0; ;) {
      const credentials = await config.credentials(refresh)
      const response = await transport.dispatcher(credentials, streaming).request({
        origin: base.origin,
        path: prefix + call.path + search(call.query),
        method: call.method,
        headers: {
          accept: 'application/json',
          'user-agent': options.userAgent,
          ...(credentials.authorization && { authorization: credentials.authorization }),
          ...(call.body !== undefined && { 'content-type': call.contentType ?? 'application/json' })
        },
        body: call.body === undefined ? null : JSON.stringify(call.body),
        signal,
        headersTimeout: timeoutMs,
        bodyTimeout: streaming ? 0 : timeoutMs
      })
      if (response.statusCode < 400) return response
      const error = await readError(response)
      if (error.status === 401 && !refresh) refresh = true
      else if (retriable(error) && throttled++ < maxThrottled) {
        await sleep(Math.min(error.retryAfter ?? 1, maxRetryAfterSeconds) * 1000, undefined, { signal })
      } else throw error
    }
  }

  async function json<T>(call: Call): Promise<T> {
    const response = await request(call, deadline(call.options, timeoutMs), false)
    return (await response.body.json()) as T
  }

  return {
    server: config.server,
    get: (path, query, call) => json({ method: 'GET', path, query, options: call }),
    create: (path, body, query, call) => json({ method: 'POST', path, query, body, options: call }),
    replace: (path, body, query, call) => json({ method: 'PUT', path, query, body, options: call }),
    patch: (path, body, type, query, call) =>
      json({ method: 'PATCH', path, query, body, contentType: contentTypes[type], options: call }),
    delete: (path, body, query, call) => json({ method: 'DELETE', path, query, body, options: call }),
    async *watch(path, query, { signal }) {
      const call: Call = { method: 'GET', path, query: { ...query, watch: true }, options: undefined }
      const response = await request(call, signal, true)
      for await (const line of readLines(response.body)) yield JSON.parse(line) as WatchLine
    },
    async stream(path, query, { signal }) {
      const response = await request({ method: 'GET', path, query, options: undefined }, signal, true)
      return response.body
    },
    close: () => transport.close()
  }
}

/** Watches live on connections of their own, so that however many there are, calls never wait for one. */
function createTransport(config: KubeConfig, connections: number) {
  const shared = {
    ca: config.ca,
    servername: config.servername,
    rejectUnauthorized: !config.insecure
  }
  const open = ({ cert, key }: Credentials, limit: number | undefined): Dispatcher => {
    const connect = { ...shared, cert, key, timeout: 10_000 }
    const settings = { ...(limit && { connections: limit }), keepAliveTimeout: 30_000, pipelining: 1 }
    return config.proxyUrl
      ? new ProxyAgent({ uri: config.proxyUrl, requestTls: connect, ...settings })
      : new Agent({ connect, ...settings })
  }
  let used: Credentials | undefined
  let calls: Dispatcher | undefined
  let watches: Dispatcher | undefined
  const closeAll = async (...open: (Dispatcher | undefined)[]) => {
    await Promise.all(open.map((one) => one?.destroy()))
  }
  return {
    dispatcher(credentials: Credentials, streaming: boolean) {
      if (!calls || !watches || used?.cert !== credentials.cert || used?.key !== credentials.key) {
        void calls?.close()
        void watches?.close()
        calls = open(credentials, connections)
        watches = open(credentials, undefined)
        used = credentials
      }
      return streaming ? watches : calls
    },
    close: () => closeAll(calls, watches)
  }
}

const retriable = (error: KubeError) =>
  error.status === 429 || (error.status === 503 && error.retryAfter !== undefined)

async function readError(response: Dispatcher.ResponseData): Promise<KubeError> {
  const text = await response.body.text()
  const seconds = Number(response.headers['retry-after'])
  const retryAfter = Number.isFinite(seconds) ? seconds : undefined
  return new KubeError(response.statusCode, parseStatus(text), retryAfter)
}

function parseStatus(text: string): StatusBody {
  try {
    const body = JSON.parse(text) as StatusBody
    if (typeof body === 'object' && body !== null) return body
  } catch {
    // Proxies and early failures answer in plain text.
  }
  return text ? { message: text.trim().slice(0, 1000) } : {}
}

function search(query: Query | undefined) {
  if (!query) return ''
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined)
  const text = new URLSearchParams(
    pairs.map(([key, value]): [string, string] => [key, String(value)])
  ).toString()
  return text && `?${text}`
}

function deadline(options: CallOptions | undefined, timeoutMs: number) {
  if (options?.timeoutMs === undefined) return options?.signal
  const limit = AbortSignal.timeout(options.timeoutMs ?? timeoutMs)
  return options.signal ? AbortSignal.any([options.signal, limit]) : limit
}
