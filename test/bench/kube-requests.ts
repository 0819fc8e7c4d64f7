import { Agent, request, type RequestOptions } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'

export interface KubeTarget {
  url: string
  admin: { ca: string; cert?: string; key?: string }
  /** In the place of a certificate. */
  token?: string
}

/** The least of a Kubernetes client: no types, no retries, so that what is measured is the API server. */
export class KubeRequests {
  readonly #target: KubeTarget
  readonly #agent: Agent

  /** @param sockets keep-alive connections, and so requests under way at once */
  constructor(target: KubeTarget, sockets: number) {
    this.#target = target
    this.#agent = new Agent({ ...target.admin, keepAlive: true, maxSockets: sockets })
  }

  async get<T>(path: string): Promise<T> {
    return JSON.parse(await text(await this.#send('GET', path))) as T
  }

  async post<T>(path: string, body: unknown): Promise<T> {
    return JSON.parse(await text(await this.#send('POST', path, { type: 'application/json', body }))) as T
  }

  /** Of an object, or of all in a collection, at once. */
  async delete(path: string): Promise<void> {
    await text(
      await this.#send('DELETE', path, { type: 'application/json', body: { gracePeriodSeconds: 0 } })
    )
  }

  async mergePatch(path: string, body: unknown): Promise<void> {
    await text(await this.#send('PATCH', path, { type: 'application/merge-patch+json', body }))
  }

  /**
   * Calls back for each event until closed. The watch has a connection of its own, and goes on where it was when the
   * API server ends it, as it does with watchers that fall behind.
   */
  async watch(path: string, onEvent: (event: WatchEvent) => void): Promise<{ close(): void }> {
    const agent = new Agent(this.#target.admin)
    const base = `${path}${path.includes('?') ? '&' : '?'}watch=1`
    let seen = ''
    let closed = false
    let response: IncomingMessage
    const open = async (): Promise<void> => {
      response = await this.#send('GET', seen ? `${base}&resourceVersion=${seen}` : base, { agent })
      const lines = createInterface({ input: response })
      lines.on('line', (line) => {
        const event = JSON.parse(line) as WatchEvent
        if (event.type === 'ERROR') throw new Error(`watch of ${path}: ${line}`)
        seen = event.object.metadata.resourceVersion
        onEvent(event)
      })
      // An aborted response makes readline throw.
      lines.on('error', () => {})
      response.on('error', () => {})
      lines.once('close', () => {
        if (!closed) void open()
      })
    }
    await open()
    return {
      close() {
        closed = true
        response.destroy()
      }
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  #send(
    method: string,
    path: string,
    { type, body, agent = this.#agent }: { type?: string; body?: unknown; agent?: Agent } = {}
  ): Promise<IncomingMessage> {
    const payload = body === undefined ? undefined : JSON.stringify(body)
    const { token } = this.#target
    const options: RequestOptions = {
      method,
      agent,
      headers: {
        ...(payload ? { 'content-type': type, 'content-length': Buffer.byteLength(payload) } : {}),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
      }
    }
    return new Promise((resolve, reject) => {
      const call = request(this.#target.url + path, options, (response) => {
        if (response.statusCode! < 300) return resolve(response)
        void text(response).then((answer) =>
          reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`))
        )
      })
      call.on('error', reject)
      call.end(payload)
    })
  }
}

export interface WatchEvent {
  type: string
  object: {
    metadata: { name: string; uid: string; resourceVersion: string }
    status?: { phase?: string }
  }
}

async function text(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
