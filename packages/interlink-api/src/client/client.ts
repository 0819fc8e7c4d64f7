import { randomInt } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { InterlinkError } from '../errors.ts'
import { injectHeaders, isTraced } from '../telemetry/propagation.ts'
import { withSpan } from '../telemetry/span.ts'
import { decode, decodeStatuses } from '../wire/decode.ts'
import {
  encodeCreate,
  encodeLog,
  encodePod,
  encodeRetrieved,
  encodeStatusRequest,
  type CreateBodyShape
} from '../wire/encode.ts'
import { parseJson } from '../wire/json.ts'
import type { DeviceOffer } from '../wire/device-offer.ts'
import type { Pod } from '../wire/kube.ts'
import {
  nodeHeader,
  sessionHeader,
  type CreateStruct,
  type EphemeralRequest,
  type LogStruct,
  type PingResponse,
  type PodCreateRequests,
  type PodRef,
  type PodStatus,
  type PodUsage,
  type RetrievedPodData,
  type WatchEvent
} from '../wire/messages.ts'
import { errorFrom, summarise, tryJson } from './answer.ts'
import { gatherCreates } from './gather-creates.ts'
import { openStream, streamPath, type StreamAsk, type StreamSession } from './open-stream.ts'
import { readText } from './read-text.ts'
import { createTransport, type TlsMaterial, type Upgraded } from './transport.ts'
import { readWatch } from './watch.ts'

export interface InterlinkClientOptions {
  /** `http://host:port[/prefix]`, `https://…` or `unix:///path` of an API server or a plugin. */
  readonly url: string
  /** Asked before each call, so that it may be rotated; nothing is sent when it gives nothing. */
  readonly token?: () => Promise<string | undefined>
  readonly tls?: TlsMaterial
  /** Until an answer begins. @default 60000 */
  readonly timeoutMs?: number
  /** Named in the `InterLink-Node` header of every call. */
  readonly nodeName?: string
  /** `node`: as a node calls an API server. `plugin`: as an API server calls a plugin. @default 'node' */
  readonly verbs?: 'node' | 'plugin'
  /** @default 'object' */
  readonly createBody?: CreateBodyShape
  /** A watch that is silent for longer is given up. @default 30000 */
  readonly watchSilenceMs?: number
  readonly logger?: { debug(fields: object, message: string): void }
}

export interface CallOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  /** Session id to go on with; a new one `<Op>#<n>` otherwise. */
  readonly session?: string
  /** Comes before `nodeName` of the client. */
  readonly node?: string
  /** Further headers; trace context that is already there is not replaced. */
  readonly headers?: Readonly<Record<string, string>>
}

export interface CreateOptions extends CallOptions {
  /** Others that come at the same time may go in the same call, under its session: the server offers `create.batch`. */
  readonly gather?: boolean
}

export interface LogStream {
  /** Destroy it, or abort the signal, to end the call. */
  readonly stream: Readable
  readonly contentType: string
}

export interface PingResult {
  /** The answer was 2xx; nothing else counts for health. */
  readonly ok: boolean
  readonly status: number
  readonly body: string
  /** Where the body is one; older plugins answer anything. */
  readonly parsed?: PingResponse
  readonly capabilities: ReadonlySet<string>
}

export interface WatchOptions extends CallOptions {
  readonly cursor?: string
}

/** Every method throws {@link InterlinkError}; its `retry` says whether the call may be made again. */
export interface InterlinkClient {
  readonly url: string
  create(request: PodCreateRequests | RetrievedPodData, options?: CreateOptions): Promise<CreateStruct>
  /** The pods that the backend knows, matched by UID; never call it with none (that is a ping). */
  status(pods: readonly (Pod | PodRef)[], options?: CallOptions): Promise<PodStatus[]>
  /** Resolves with the backend's words once the deletion is accepted. */
  delete(pod: Pod | PodRef, options?: CallOptions): Promise<string>
  logs(request: LogStruct, options?: CallOptions): Promise<LogStream>
  ping(options?: CallOptions): Promise<PingResult>
  updateCache(uid: string, options?: CallOptions): Promise<string>
  /** Ends when the server ends it, throws when it is lost or silent; start again with the last cursor. */
  watch(options?: WatchOptions): AsyncGenerator<WatchEvent, void, undefined>
  /** The raw answer to `GET /watch`, to be passed on. */
  openWatch(options?: WatchOptions): Promise<IncomingMessage>
  /** Adds an ephemeral container to a pod that is with the backend; only of one with the capability `ephemeral`. */
  addEphemeral(request: EphemeralRequest, options?: CallOptions): Promise<string>
  /** What the containers of the backend's pods use; only of one with the capability `usage`. */
  usage(options?: CallOptions): Promise<PodUsage[]>
  /** Devices for resource claims; only of one with the capability `devices`. */
  devices(options?: CallOptions): Promise<DeviceOffer>
  /** Opens an exec, attach or port-forward in a pod; the signal ends it at any time. */
  stream(uid: string, ask: StreamAsk, options?: CallOptions): Promise<StreamSession>
  /** The raw connection of a stream, to be passed on; `headers` of the options are those of the caller's handshake. */
  openUpgrade(path: string, options?: CallOptions): Promise<Upgraded>
  /** For connections from now on. */
  setTls(tls: TlsMaterial): void
  close(): Promise<void>
}

const maxAnswer = 256 * 1024 * 1024

export function createInterlinkClient(options: InterlinkClientOptions): InterlinkClient {
  const { url, verbs = 'node', timeoutMs = 60_000, watchSilenceMs = 30_000, logger } = options
  const transport = createTransport(url, options.tls)

  interface Operation {
    /** In the session id. */
    readonly name: string
    /** Start of the span's name. */
    readonly span: string
    readonly method: string
    readonly path: string
    readonly body?: unknown
    /** A body that is text already. */
    readonly text?: string
    /** The call may be repeated at once when a kept-alive connection turns out to be dead. */
    readonly idempotent?: boolean
  }

  /** Ends its span at the answer's headers, as the reference does. */
  const call = (op: Operation, callOptions?: CallOptions): Promise<IncomingMessage> =>
    withSpan(
      `${op.span}${verbs === 'plugin' ? 'PluginCall' : 'HttpCall'}`,
      {},
      async (span) => {
        const response = await send(op, callOptions)
        span.setAttribute('exit.code', response.statusCode ?? 0)
        return response
      },
      { kind: 'CLIENT' }
    )

  async function headersOf(call: CallOptions, session: string): Promise<Record<string, string>> {
    const token = await options.token?.()
    const node = call.node ?? options.nodeName
    return injectHeaders({
      ...call.headers,
      [sessionHeader]: session,
      ...(node ? { [nodeHeader]: node } : {}),
      ...(token ? { authorization: `Bearer ${token}` } : {})
    })
  }

  async function opening(path: string, call: CallOptions = {}) {
    const session = call.session ?? `OpenStream#${randomInt(100_000)}`
    return {
      transport,
      path,
      headers: await headersOf(call, session),
      timeoutMs: call.timeoutMs ?? timeoutMs,
      ...(call.signal && { signal: call.signal })
    }
  }

  async function send(op: Operation, call: CallOptions = {}): Promise<IncomingMessage> {
    const session = call.session ?? `${op.name}#${randomInt(100_000)}`
    const request = {
      method: op.method,
      path: op.path,
      headers: await headersOf(call, session),
      body: op.text ?? (op.body === undefined ? undefined : JSON.stringify(op.body)),
      timeoutMs: call.timeoutMs ?? timeoutMs,
      signal: call.signal
    }
    const response = await transport.send(request).catch((error: unknown) => {
      if (!op.idempotent || !lostReusedSocket(error)) throw error
      return transport.send(request)
    })
    logger?.debug({ op: op.name, session, status: response.statusCode }, 'interlink call')
    return response
  }

  async function succeed(op: Operation, callOptions?: CallOptions): Promise<IncomingMessage> {
    const response = await call(op, callOptions)
    if (isSuccess(response)) return response
    throw await errorFrom(response, url)
  }

  async function text(op: Operation, callOptions: CallOptions = {}): Promise<string> {
    return bodyOf(await succeed(op, callOptions), callOptions.timeoutMs ?? timeoutMs)
  }

  async function bodyOf(response: IncomingMessage, ms: number): Promise<string> {
    const timer = setTimeout(
      () => response.destroy(new InterlinkError('IL_TIMEOUT', { server: url, ms })),
      ms
    )
    try {
      const { text, cut } = await readText(response, maxAnswer)
      if (cut)
        throw new InterlinkError('IL_INVALID_ANSWER', {
          server: url,
          reason: `it is over ${maxAnswer} bytes`
        })
      return text
    } catch (error) {
      if (error instanceof InterlinkError) throw error
      const { code, message } = error as NodeJS.ErrnoException
      throw new InterlinkError('IL_CONNECTION_LOST', { server: url, reason: code ?? message }, error)
    } finally {
      clearTimeout(timer)
    }
  }

  function understand<T>(body: string, read: (json: unknown) => T): T {
    try {
      return read(body.trim() === '' ? undefined : parseJson(body))
    } catch (error) {
      const reason = error instanceof InterlinkError ? error.message : 'it cannot be read'
      throw new InterlinkError('IL_INVALID_ANSWER', { server: url, reason, body: summarise(body) }, error)
    }
  }

  const openWatch = ({ cursor, ...callOptions }: WatchOptions = {}) => {
    const query = new URLSearchParams()
    const node = callOptions.node ?? options.nodeName
    if (node) query.set('node', node)
    if (cursor) query.set('cursor', cursor)
    return succeed(
      {
        name: 'Watch',
        span: 'Watch',
        method: 'GET',
        path: `/watch${query.size > 0 ? `?${query}` : ''}`,
        idempotent: true
      },
      callOptions
    )
  }

  const told = (name: string, path: string, callOptions?: CallOptions) =>
    text({ name, span: name, method: 'GET', path, idempotent: true }, callOptions)
  const create = (body: string, callOptions: CallOptions) =>
    text({ name: 'CreatePod', span: 'Create', method: 'POST', path: '/create', text: body }, callOptions)
  const alone = async (body: string, callOptions: CallOptions) =>
    understand(await create(body, callOptions), (json) => decode('CreateStruct', json))
  const gathered = gatherCreates<CallOptions>({
    alone,
    together: async (body, callOptions) =>
      understand(await create(body, callOptions), (json) => decode('CreateOutcomes', json))
  })

  return {
    url,
    openWatch,
    create(request, { gather, ...callOptions } = {}) {
      const shape = gather ? 'object' : options.createBody
      const body = JSON.stringify(
        'container' in request
          ? encodeRetrieved(request as RetrievedPodData, shape)
          : encodeCreate(request as PodCreateRequests)
      )
      // In a call of several there is no place for the trace of each.
      return gather && !isTraced(callOptions.headers)
        ? gathered(callOptions.node ?? '', body, callOptions)
        : alone(body, callOptions)
    },
    async status(pods, callOptions) {
      if (pods.length === 0) return []
      const body = encodeStatusRequest(pods)
      const answer = await text(
        { name: 'GetStatus', span: 'Status', method: 'GET', path: '/status', body, idempotent: true },
        callOptions
      )
      return understand(answer, decodeStatuses)
    },
    delete: (pod, callOptions) =>
      text(
        {
          name: 'DeletePod',
          span: 'Delete',
          method: verbs === 'plugin' ? 'POST' : 'DELETE',
          path: '/delete',
          body: encodePod(pod),
          idempotent: true
        },
        callOptions
      ),
    async logs(request, callOptions) {
      const body = encodeLog(request)
      const stream = await succeed(
        { name: 'GetLogs', span: 'Log', method: 'GET', path: '/getLogs', body, idempotent: true },
        callOptions
      )
      return { stream, contentType: stream.headers['content-type'] ?? 'text/plain' }
    },
    async ping(callOptions = {}) {
      const op =
        verbs === 'plugin'
          ? {
              name: 'PingInterLink',
              span: 'Ping',
              method: 'GET',
              path: '/status',
              body: [],
              idempotent: true
            }
          : { name: 'PingInterLink', span: 'Ping', method: 'POST', path: '/pinglink', idempotent: true }
      const response = await call(op, callOptions)
      const body = await bodyOf(response, callOptions.timeoutMs ?? timeoutMs)
      const ok = isSuccess(response)
      const parsed = ok ? pingResponse(tryJson(body)) : undefined
      return {
        ok,
        status: response.statusCode ?? 0,
        body: ok ? body : summarise(body),
        ...(parsed ? { parsed } : {}),
        capabilities: new Set(parsed?.capabilities)
      }
    },
    addEphemeral: ({ pod, container }, callOptions) =>
      text(
        {
          name: 'AddEphemeral',
          span: 'Ephemeral',
          method: 'POST',
          path: '/ephemeral',
          body: { pod: encodePod(pod), container },
          idempotent: true
        },
        callOptions
      ),
    usage: async (callOptions) =>
      understand(await told('Usage', '/usage', callOptions), (json) => decode('UsageResponse', json)),
    devices: async (callOptions) =>
      understand(await told('Devices', '/devices', callOptions), (json) => decode('DeviceOffer', json)),
    updateCache: (uid, callOptions) =>
      text(
        { name: 'UpdateCache', span: 'UpdateCache', method: 'POST', path: '/updateCache', text: uid },
        callOptions
      ),
    async *watch(watchOptions) {
      yield* readWatch(await openWatch(watchOptions), url, watchSilenceMs)
    },
    stream: async (uid, ask, callOptions) =>
      openStream(await opening(streamPath(uid, ask), callOptions), ask),
    openUpgrade: async (path, callOptions) => transport.upgrade(await opening(path, callOptions)),
    setTls: transport.setTls,
    close: async () => transport.close()
  }
}

const isSuccess = (response: IncomingMessage) => Math.floor((response.statusCode ?? 0) / 100) === 2

/** The server had closed an idle connection just when it was taken again. */
const lostReusedSocket = (error: unknown) =>
  error instanceof InterlinkError && error.code === 'IL_CONNECTION_LOST' && error.details.reused === true

/** A ping answer that is no message, or not quite one, is only text. */
function pingResponse(json: unknown): PingResponse | undefined {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined
  try {
    return decode('PingResponse', json)
  } catch {
    return undefined
  }
}
