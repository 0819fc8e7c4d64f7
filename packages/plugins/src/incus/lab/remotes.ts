import { PluginError } from '../../errors.ts'
import { IncusConnection, IncusError, IncusUnreachable } from '../rest/index.ts'
import type { Request } from '../rest/incus-connection.ts'
import type { ClientConfiguration, RemoteEntry } from './client-configuration.ts'

/** An operation whose server is not heard of is given up after so long. */
const lostMs = 30_000

export type Query = NonNullable<Request['query']>

/** A remote that could not be asked, so that what it has is not in a list. */
export interface Away {
  readonly remote: string
  readonly reason: string
}

/** One project of one remote; its errors name the remote and say what to do. */
export class LabServer {
  readonly remote: string
  readonly project: string
  readonly incus: IncusConnection

  constructor(remote: string, project: string, incus: IncusConnection) {
    this.remote = remote
    this.project = project
    this.incus = incus
  }

  get<T>(path: string, query?: Query): Promise<T> {
    return this.#told(this.incus.get<T>(path, query))
  }

  /** Undefined where there is none. */
  async find<T>(path: string, query?: Query): Promise<T | undefined> {
    try {
      return await this.get<T>(path, query)
    } catch (error) {
      if (error instanceof PluginError && error.cause instanceof IncusError && error.cause.isMissing)
        return undefined
      throw error
    }
  }

  change(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, request?: Request): Promise<unknown> {
    return this.#told(this.#unlessLost(this.incus.change(method, path, request)))
  }

  /** What was read, and the mark by which a change says that it is of this very state. */
  async getMarked<T>(path: string): Promise<{ readonly value: T; readonly etag: string }> {
    const { body, headers } = await this.#told(this.incus.content('GET', path))
    const { metadata } = JSON.parse(body.toString()) as { metadata: T }
    return { value: metadata, etag: headers.etag ?? '' }
  }

  /** Whatever else of this library is asked of the server. */
  told<T>(asked: Promise<T>): Promise<T> {
    return this.#told(asked)
  }

  async #unlessLost<T>(asked: Promise<T>): Promise<T> {
    const { events } = this.incus
    let timer: NodeJS.Timeout | undefined
    let lost: (reason: string) => void = () => {}
    const resumed = () => clearTimeout(timer)
    const given = new Promise<never>((_, reject) => {
      lost = (reason) => {
        clearTimeout(timer)
        timer = setTimeout(() => reject(new IncusUnreachable(reason)), lostMs)
      }
    })
    events.on('lost', lost).on('resumed', resumed)
    try {
      return await Promise.race([asked, given])
    } finally {
      clearTimeout(timer)
      events.off('lost', lost).off('resumed', resumed)
    }
  }

  async #told<T>(asked: Promise<T>): Promise<T> {
    try {
      return await asked
    } catch (error) {
      throw explained(this.remote, error)
    }
  }
}

function explained(remote: string, error: unknown): unknown {
  if (error instanceof IncusUnreachable) {
    const reason = error.message.replace(/^\S+: /, '')
    const fix = /certificate|self-signed/i.test(reason)
      ? `its certificate is another one than was enrolled; if that is right: interlink lab remote delete ${remote}, and enroll it again`
      : 'start its incusd, or mend the way to it; interlink lab remote list shows its address'
    return new PluginError('LAB_AWAY', { remote, reason, fix }, error)
  }
  if (!(error instanceof IncusError)) return error
  if (error.status === 403 || /^not authorized$|does not have permission/i.test(error.message))
    return new PluginError(
      'LAB_UNTRUSTED',
      {
        remote,
        reason: error.message,
        fix: 'its owner gives the rights: interlink lab user grant, or incus config trust add for a client that is not known yet'
      },
      error
    )
  return new PluginError('LAB_REFUSED', { remote, reason: error.message }, error)
}

/** All Incus servers of a client's configuration, each connected to when first asked. */
export class Remotes {
  readonly configuration: ClientConfiguration
  readonly #timeoutMs: number
  readonly #servers = new Map<string, Promise<LabServer>>()

  constructor(configuration: ClientConfiguration, { timeoutMs = 30_000 } = {}) {
    this.configuration = configuration
    this.#timeoutMs = timeoutMs
  }

  /** Those that have instances; `name` alone where one is given. */
  entries(name?: string): readonly RemoteEntry[] {
    if (name !== undefined) return [this.configuration.remote(name)]
    return this.configuration.remotes.filter(({ protocol }) => protocol === 'incus')
  }

  /** @throws PluginError LAB_UNKNOWN */
  async connect(remote = this.configuration.defaultRemote, project?: string): Promise<LabServer> {
    const entry = this.configuration.remote(remote)
    const chosen = project ?? entry.project
    const key = `${remote}:${chosen}`
    const known = this.#servers.get(key)
    if (known) return known
    const server = this.configuration.server(entry).then((address) => {
      const incus = new IncusConnection(address, { timeoutMs: this.#timeoutMs, project: chosen })
      return new LabServer(remote, chosen, incus)
    })
    this.#servers.set(key, server)
    return server
  }

  /** Asks every remote, or the one that is named; of several, those that are away spoil nothing. */
  async each<T>(
    remote: string | undefined,
    ask: (server: LabServer) => Promise<T>
  ): Promise<{ readonly found: readonly T[]; readonly away: readonly Away[] }> {
    if (remote !== undefined) return { found: [await ask(await this.connect(remote))], away: [] }
    const all = this.entries()
    // A machine without an Incus of its own has the remote `local` all the same.
    const there = all.filter((entry) => !this.configuration.lacks(entry))
    const entries = there.length > 0 ? there : all
    const asked = await Promise.allSettled(entries.map(async ({ name }) => ask(await this.connect(name))))
    const away: Away[] = []
    const found: T[] = []
    for (const [index, answer] of asked.entries()) {
      if (answer.status === 'fulfilled') found.push(answer.value)
      else if (answer.reason instanceof PluginError && isElsewhere(answer.reason))
        away.push({ remote: entries[index]!.name, reason: answer.reason.message })
      else throw answer.reason
    }
    return { found, away }
  }

  async close(): Promise<void> {
    const servers = await Promise.allSettled(this.#servers.values())
    await Promise.all(servers.map((one) => one.status === 'fulfilled' && one.value.incus.close()))
  }
}

/** Nothing that is wrong with the question. */
const isElsewhere = ({ code }: PluginError): boolean => code === 'LAB_AWAY' || code === 'LAB_UNTRUSTED'
