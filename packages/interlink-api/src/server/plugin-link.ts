import { readFile } from 'node:fs/promises'
import type { FastifyBaseLogger } from 'fastify'
import {
  createInterlinkClient,
  type CallOptions,
  type InterlinkClient,
  type PingResult
} from '../client/client.ts'
import { followTlsFiles } from '../client/tls-files.ts'
import { InterlinkError } from '../errors.ts'
import type { Capability, CreateStruct, PodRef, PodStatus, RetrievedPodData } from '../wire/messages.ts'
import type { PluginConfig } from './config.ts'
import { mapBounded } from './map-bounded.ts'

/** One plugin as the API server reaches it. What it remembers is about the plugin, never about a pod. */
export interface PluginLink extends PluginConfig {
  readonly client: InterlinkClient
  ping(options: CallOptions): Promise<PingResult>
  /** Whether it does, as it said within the last half minute. */
  offers(capability: Capability, options: CallOptions): Promise<boolean>
  create(data: RetrievedPodData, options: CallOptions): Promise<CreateStruct>
  /** The pods it knows of those asked for, matched by UID. */
  status(pods: readonly PodRef[], options: CallOptions): Promise<PodStatus[]>
  close(): Promise<void>
}

interface LinkOptions {
  readonly timeoutMs: number
  readonly statusConcurrency: number
  readonly log: FastifyBaseLogger
  /** Milliseconds, monotonic. */
  readonly now?: () => number
}

const capabilitiesForMs = 30_000

export async function createPluginLink(config: PluginConfig, options: LinkOptions): Promise<PluginLink> {
  const { timeoutMs, statusConcurrency, log, now = () => performance.now() } = options
  const client = createInterlinkClient({
    url: config.url,
    verbs: 'plugin',
    createBody: config.createBody,
    timeoutMs,
    ...(config.tokenFile ? { token: async () => (await readFile(config.tokenFile!, 'utf8')).trim() } : {})
  })
  const unfollow =
    config.tls &&
    (await followTlsFiles(client, config.tls, 'plugins.tls', {
      onError: (err) => log.warn({ err, plugin: config.name }, 'TLS files changed and cannot be used')
    }))
  let offered: { readonly at: number; readonly capabilities: ReadonlySet<string> } | undefined
  /** It answers for one pod although it was asked for several, as plugins that read only the first do. */
  let answersOne = false

  const relayed = <T>(call: Promise<T>): Promise<T> =>
    call.catch((error: unknown) => {
      throw relay(error, config.name)
    })

  async function ping(call: CallOptions): Promise<PingResult> {
    const result = await relayed(client.ping(call))
    if (result.ok) offered = { at: now(), capabilities: result.capabilities }
    return result
  }

  async function offers(capability: Capability, call: CallOptions): Promise<boolean> {
    if (!offered || now() - offered.at > capabilitiesForMs) await ping(call).catch(() => undefined)
    return offered?.capabilities.has(capability) ?? false
  }

  /** Secrets that a plugin does not ask for are not for its logs. */
  async function withoutUnwanted(data: RetrievedPodData, call: CallOptions): Promise<RetrievedPodData> {
    if (!data.imagePullSecrets || (await offers('create.pullSecrets', call))) return data
    const { imagePullSecrets: _, ...rest } = data
    return rest
  }

  const known = (statuses: readonly PodStatus[], pods: readonly PodRef[]) => {
    const asked = new Set(pods.map((pod) => pod.metadata.uid))
    return statuses.filter((status) => asked.has(status.UID))
  }
  const singly = async (pods: readonly PodRef[], call: CallOptions) =>
    (
      await mapBounded(pods, statusConcurrency, async (pod) =>
        known(await relayed(client.status([pod], call)), [pod])
      )
    ).flat()

  return {
    ...config,
    client,
    ping,
    offers,
    async create(data, call) {
      const sent = await withoutUnwanted(data, call)
      const gather = offered?.capabilities.has('create.batch') ?? false
      return relayed(client.create(sent, { ...call, gather }))
    },
    async close() {
      unfollow?.()
      await client.close()
    },
    async status(pods, call) {
      if (pods.length <= 1) return singly(pods, call)
      const batch = await offers('status.batch', call)
      if (answersOne && !batch) return singly(pods, call)
      const answered = known(await relayed(client.status(pods, call)), pods)
      if (batch || answered.length === pods.length) return answered
      const uids = new Set(answered.map((status) => status.UID))
      const found = await singly(
        pods.filter((pod) => !uids.has(pod.metadata.uid ?? '')),
        call
      )
      if (found.length > 0) answersOne = true
      return [...answered, ...found]
    }
  }
}

/** Asks the plugin that has a pod: the first one that offers it and does not say 404. */
export async function atOwner<T>(
  plugins: readonly PluginLink[],
  capability: Capability,
  options: CallOptions,
  ask: (plugin: PluginLink) => Promise<T>
): Promise<T> {
  let refused: unknown
  for (const plugin of plugins) {
    if (!(await plugin.offers(capability, options))) {
      refused ??= await whyNot(plugin, capability, options).catch((error: unknown) => error)
      continue
    }
    try {
      return await ask(plugin)
    } catch (error) {
      const relayed = relay(error, plugin.name)
      if (!(relayed instanceof InterlinkError) || relayed.status !== 404) throw relayed
      refused = relayed
    }
  }
  throw refused
}

/** Of a plugin that turns everybody away nobody knows what it offers. */
async function whyNot({ name, ping }: PluginLink, capability: Capability, options: CallOptions) {
  const { ok, status, body } = await ping(options)
  return ok
    ? new InterlinkError('IL_NOT_OFFERED', { plugin: name, capability, status: 501 })
    : new InterlinkError('IL_PLUGIN_FAILED', { plugin: name, status, body })
}

/**
 * A plugin's failure as the caller of this server gets it: the plugin's own code and words where it has any, its
 * status, and its name. That it refused our credentials is our failure, not the caller's.
 */
export function relay(error: unknown, plugin: string): unknown {
  if (!(error instanceof InterlinkError)) return error
  const { details, code, status } = error
  if (typeof details.status !== 'number') {
    const { message, retry } = error
    return new InterlinkError(
      { code, status, retry, message: `plugin ${plugin}: ${message}` },
      { ...details, plugin },
      error
    )
  }
  const answer = { name: plugin, status, body: String(details.body ?? '') }
  const more = { ...details, plugin, answer, status }
  if (status === 401 || status === 403)
    return new InterlinkError('IL_PLUGIN_FAILED', { ...more, status: 502 }, error)
  if (code === 'IL_REFUSED') return new InterlinkError('IL_PLUGIN_REFUSED', more, error)
  if (code === 'IL_FAILED') return new InterlinkError('IL_PLUGIN_FAILED', more, error)
  const { message, retry } = error
  return new InterlinkError({ code, message, status, retry }, more, error)
}
