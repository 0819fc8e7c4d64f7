/** The Kubernetes API over kept-alive connections: JSON in, JSON out, errors as {@link KubeError}. */
import type { IncomingHttpHeaders } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, ProxyAgent, type Dispatcher } from 'undici'
import { KubeError, type StatusBody } from './errors.ts'
import { exchange, type Answer } from './exchange.ts'
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

  /** Sends until there is an answer that is no refusal for now; `textOf` reads the body of one that is an error. */
  async function attempt<R extends { readonly statusCode: number; readonly headers: IncomingHttpHeaders }>(
    call: Call,
    signal: AbortSignal | undefined,
    streaming: boolean,
    send: (dispatcher: Dispatcher, options: Dispatcher.DispatchOptions) => Promise<R>,
    textOf: (response: R) => Promise<string> | string
  ): Promise<R> {
    const body = call.body === undefined ? null : JSON.stringify(call.body)
    let refresh = false
    for (let throttled = 0; ;) {
      const credentials = await config.credentials(refresh)
      const response = await send(transport.dispatcher(credentials, streaming), {
        origin: base.origin,
        path: prefix + call.path + search(call.query),
        method: call.method,
        headers: {
          accept: 'application/json',
          'user-agent': options.userAgent,
          ...(credentials.authorization && { authorization: credentials.authorization }),
          ...(body !== null && { 'content-type': call.contentType ?? 'application/json' })
        },
        body,
        headersTimeout: timeoutMs,
        bodyTimeout: streaming ? 0 : timeoutMs
      })
      if (response.statusCode < 400) return response
      const error = errorOf(response, await textOf(response))
      if (error.status === 401 && !refresh) refresh = true
      else if (retriable(error) && throttled++ < maxThrottled) {
        await sleep(Math.min(error.retryAfter ?? 1, maxRetryAfterSeconds) * 1000, undefined, { signal })
      } else throw error
    }
  }

  async function json<T>(call: Call): Promise<T> {
    const signal = deadline(call.options, timeoutMs)
    const { text } = await attempt(
      call,
      signal,
      false,
      (dispatcher, request) => exchange(dispatcher, request, signal),
      (answer) => answer.text
    )
    return JSON.parse(text) as T
  }

  const open = (call: Call, signal: AbortSignal | undefined) =>
    attempt(
      call,
      signal,
      true,
      (dispatcher, request) => dispatcher.request({ ...request, signal }),
      (response) => response.body.text()
    )

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
      const response = await open(call, signal)
      for await (const line of readLines(response.body)) yield JSON.parse(line) as WatchLine
    },
    async stream(path, query, { signal }) {
      return (await open({ method: 'GET', path, query, options: undefined }, signal)).body
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

function errorOf({ statusCode, headers }: Pick<Answer, 'statusCode' | 'headers'>, text: string): KubeError {
  const seconds = Number(headers['retry-after'])
  return new KubeError(statusCode, parseStatus(text), Number.isFinite(seconds) ? seconds : undefined)
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
