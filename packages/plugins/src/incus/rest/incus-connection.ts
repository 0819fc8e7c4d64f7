import { createSecureContext } from 'node:tls'
import { Client, Pool, type Dispatcher } from 'undici'
import { WebSocket } from 'ws'
import { IncusError, IncusUnreachable, readAnswer, succeeded, type Operation } from './answers.ts'
import { EventStream } from './event-stream.ts'
import { socketOf, tlsOf, validityOf, type IncusServer, type IncusTls } from './server-address.ts'

export interface IncusOptions {
  /** Milliseconds until an answer must be there. @default 30 000 */
  readonly timeoutMs?: number
  /** @default default */
  readonly project?: string
}

export interface Content {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

const keepAliveMs = 10_000

type Query = Readonly<Record<string, string | number | boolean>>

export interface Request {
  readonly query?: Query
  readonly json?: unknown
  readonly content?: Buffer | string
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * One Incus server by its REST API: requests over kept connections, and operations whose end is told by the event
 * stream. Everything is asked of one project.
 */
export class IncusConnection {
  readonly server: string
  readonly events: EventStream
  #address: IncusServer
  #pool: Pool
  readonly #timeoutMs: number
  readonly #project: string
  #facts: Promise<unknown> | undefined

  constructor(address: IncusServer, { timeoutMs = 30_000, project = 'default' }: IncusOptions = {}) {
    this.server = address.url
    this.#address = address
    this.#timeoutMs = timeoutMs
    this.#project = project
    this.#pool = poolOf(address)
    this.events = new EventStream(() => this.webSocket('/1.0/events?type=operation,lifecycle', true))
    const forget = () => (this.#facts = undefined)
    this.events.on('lost', forget).on('resumed', forget)
  }

  /**
   * For requests and streams from now on; those that are under way go on.
   * @throws where key and certificate are no pair
   */
  setTls(tls: IncusTls): void {
    const address = { ...this.#address, tls }
    createSecureContext(tlsOf(address))
    const old = this.#pool
    this.#address = address
    this.#pool = poolOf(address)
    old.close().catch(() => {})
  }

  /** What the server says of itself at `/1.0`. It changes with a start of the server alone, and is asked for after each. */
  async facts(): Promise<unknown> {
    await this.events.open()
    const asked = (this.#facts ??= this.get('/1.0'))
    const drop = () => {
      if (this.#facts === asked) this.#facts = undefined
    }
    const facts = await asked.catch((error: unknown) => {
      drop()
      throw error
    })
    // Whom it does not know is told less.
    if ((facts as { readonly auth?: unknown } | undefined)?.auth !== 'trusted') drop()
    return facts
  }

  async get<T>(path: string, query?: Query): Promise<T> {
    return (await this.#answer('GET', path, query ? { query } : {})).metadata as T
  }

  /**
   * Resolves with what was answered, for an operation once it has succeeded.
   * @throws IncusError in the words of Incus
   */
  async change(
    method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    request: Request = {}
  ): Promise<unknown> {
    const answer = await this.#answer(method, path, request)
    return answer.operation ? succeeded(await this.finished(answer.operation)) : answer.metadata
  }

  /** An operation that goes on by itself, such as exec. */
  async begin(path: string, json: unknown): Promise<Operation> {
    const { operation } = await this.#answer('POST', path, { json })
    if (!operation) throw new IncusUnreachable(`${this.server}: POST ${path} began no operation`)
    return operation
  }

  /** The operation at its end, well or badly. It may take as long as it takes. */
  async finished({ id }: Operation): Promise<Operation> {
    return this.events.operation(id, () => this.get<Operation>(`/1.0/operations/${id}`))
  }

  /** A request whose answer is not JSON, such as a file's. @throws IncusError, IncusUnreachable */
  async content(method: Dispatcher.HttpMethod, path: string, request: Request = {}): Promise<Content> {
    const answer = await this.#send(method, path, request)
    if (answer.status >= 400) this.#read(answer)
    return answer
  }

  /** Not yet open. @param allProjects whatever the project of this connection is */
  webSocket(path: string, allProjects = false): WebSocket {
    const socketPath = socketOf(this.#address)
    const target = new URL(path, 'http://incus')
    if (allProjects) target.searchParams.set('all-projects', 'true')
    else target.searchParams.set('project', this.#project)
    const place = target.pathname + target.search
    const handshakeTimeout = this.#timeoutMs
    if (socketPath !== undefined)
      return new WebSocket(`ws+unix://${socketPath}:${place}`, { handshakeTimeout })
    const socket = new WebSocket(this.#address.url.replace(/^http/, 'ws') + place, {
      ...tlsOf(this.#address),
      handshakeTimeout
    })
    // A server that has gone without a word is heard of by nothing else.
    socket.on('upgrade', ({ socket }) => socket.setKeepAlive(true, keepAliveMs))
    return socket
  }

  async close(): Promise<void> {
    this.events.close()
    await this.#pool.destroy()
  }

  async #answer(method: Dispatcher.HttpMethod, path: string, request: Request) {
    const answer = this.#read(await this.#send(method, path, request))
    return answer.type === 'async'
      ? { operation: answer.operation, metadata: undefined }
      : { operation: undefined, metadata: answer.metadata }
  }

  #read({ status, body }: Content) {
    try {
      return readAnswer(status, body.toString())
    } catch (error) {
      const { tls } = this.#address
      if (!tls || !(error instanceof IncusError) || !error.isStranger) throw error
      // Incus says no more than that it does not know such a client.
      const { validFrom, validTo, isValid } = validityOf(tls)
      if (isValid) throw error
      const why = `the certificate of this client is valid from ${validFrom} to ${validTo}; replace it`
      throw new IncusError(error.status, `${error.message}: ${why}`)
    }
  }

  async #send(method: Dispatcher.HttpMethod, path: string, request: Request): Promise<Content> {
    const { query = {}, json, content, headers } = request
    const target = new URL(path, 'http://incus')
    // Incus refuses the name of a project beside the wish for all of them.
    const project = query['all-projects'] === undefined ? { project: this.#project } : {}
    for (const [name, value] of Object.entries({ ...project, ...query }))
      target.searchParams.set(name, String(value))
    try {
      const {
        statusCode,
        headers: answered,
        body
      } = await this.#pool.request({
        method,
        path: target.pathname + target.search,
        headersTimeout: this.#timeoutMs,
        bodyTimeout: this.#timeoutMs,
        ...(json === undefined
          ? { body: content ?? null, headers: { ...headers } }
          : { body: JSON.stringify(json), headers: { 'content-type': 'application/json', ...headers } })
      })
      return {
        status: statusCode,
        headers: answered as Record<string, string>,
        body: Buffer.from(await body.arrayBuffer())
      }
    } catch (error) {
      if (error instanceof IncusError) throw error
      throw new IncusUnreachable(`${this.server}: ${(error as Error).message}`, { cause: error })
    }
  }
}

function poolOf(address: IncusServer): Pool {
  const socketPath = socketOf(address)
  return new Pool(socketPath === undefined ? address.url : 'http://incus', {
    connections: 16,
    connect: socketPath === undefined ? tlsOf(address) : { socketPath },
    factory: (origin, options) => new Client(origin, options as Client.Options)
  })
}
