import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { pino, type Logger } from 'pino'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { createInterlinkClient } from '@interlink-ts/interlink-api/client'
import { startApi } from '@interlink-ts/interlink-api/server'
import { loadPluginConfig, startPlugin, type BackendModule } from '@interlink-ts/plugins/kit'
import { slurmBackend } from '@interlink-ts/plugins/slurm'
import { processBackend } from '@interlink-ts/plugins/process'
import { sshdMissing, startSshd } from '../slurm/sshd.ts'

/** A backend under test, and what its pods are made of. */
export interface Subject {
  readonly module: BackendModule
  /** An image with a POSIX shell and the usual tools. */
  readonly image: string
  /** The backend's own section of the plugin configuration. */
  readonly options: Record<string, unknown>
  /** Brings up what the backend runs on; its options come before those above. */
  start?(): Promise<{ readonly options: Record<string, unknown>; close(): Promise<void> }>
}

const subjects: Readonly<Record<string, Subject>> = {
  process: { module: processBackend, image: 'host', options: {} },
  slurm: { module: slurmBackend, image: 'host', options: {} }
}

/** On a private Slurm; behind SSH, with a file system of its own. */
const onLab: Readonly<Record<string, Subject>> = {
  slurm: { ...subjects.slurm!, start: () => startCluster(false) },
  'slurm-ssh': { ...subjects.slurm!, start: () => startCluster(true) }
}

async function startCluster(ssh: boolean) {
  const missing = slurmMissing() ?? (ssh ? sshdMissing() : undefined)
  if (missing !== undefined) throw new UsageError(`--lab: ${missing}`)
  const lab = await startSlurmLab({ cpus: 64, memoryMiB: 64_000 })
  const sshd = ssh ? await startSshd() : undefined
  return {
    options: {
      conf: lab.env.SLURM_CONF,
      ...(sshd ? { ssh: { ...sshd.options, directory: join(lab.dir, 'jobs') } } : {})
    },
    close: async () => {
      await lab.close()
      await sshd?.close()
    }
  }
}

/** What was asked for cannot be done; the message says what can. */
export class UsageError extends Error {}

/** A backend of this project, or of a module at that path, which is to know the image `host`. */
export async function subjectOf(name: string, lab: boolean): Promise<Subject> {
  if (name.includes('/')) {
    if (lab) throw new UsageError('--lab is of the backends slurm and slurm-ssh')
    const { default: module } = (await import(pathToFileURL(name).href).catch((error: Error) => {
      throw new UsageError(`backend ${name} cannot be imported: ${error.message}`)
    })) as { default: BackendModule }
    return { module, image: 'host', options: {} }
  }
  const subject = (lab ? onLab : subjects)[name]
  if (subject) return subject
  if (name in subjects) throw new UsageError(`--lab is of the backends ${Object.keys(onLab).join(', ')}`)
  if (name in onLab) throw new UsageError(`backend ${name} is a private Slurm behind SSH; add --lab`)
  throw new UsageError(
    `backend "${name}" is not known; known are ${Object.keys(subjects).join(', ')}, with --lab ${Object.keys(onLab).join(', ')}, and paths such as ./backend.js`
  )
}

export interface Running {
  /** Of the API server in front of the plugin. */
  readonly url: string
  /** Removes the job directories too. */
  close(): Promise<void>
}

interface StartOptions {
  /** What the plugin and the API server say from warnings on; default: nowhere. */
  readonly logFile?: string | undefined
  /** Configuration of the plugin, all but where it listens. */
  readonly config?: string | undefined
}

/** The plugin with the API server in front of it, on sockets of a directory of their own. */
export async function startSubject(subject: Subject, { logFile, config }: StartOptions): Promise<Running> {
  const { module } = subject
  const ground = await subject.start?.()
  const dir = await mkdtemp(join(tmpdir(), 'interlink-conformance-'))
  const removed = async () => {
    await ground?.close()
    await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
  try {
    const loaded = await loadPluginConfig(module, {
      env: {},
      ...(config === undefined ? {} : { path: config }),
      options: { given: { ...ground?.options, ...subject.options }, defaults: {} }
    })
    const root = config === undefined ? join(dir, 'jobs') : loaded.root!
    await preflight(module, loaded.options, root)
    const listen = `unix://${dir}/plugin.sock`
    const logger = loggerTo(logFile)
    const plugin = await startPlugin({
      module,
      config: { ...loaded, listen, root, retention: { deletedSeconds: 0, tombstoneSeconds: 60 } },
      log: logger
    })
    const tokenFile = loaded.auth.tokenFile
    const front = await startFront(dir, { url: listen, ...(tokenFile ? { tokenFile } : {}) }, logger)
    return { url: front.url, close: () => front.close().then(plugin.close).then(removed) }
  } catch (error) {
    await removed()
    throw error
  }
}

/** A plugin of somebody's own that runs already, with an API server in front of it. */
export async function attachTo(
  plugin: { readonly url: string; readonly tokenFile?: string },
  { logFile }: StartOptions
): Promise<Running> {
  if (!/^(https?:\/\/.|unix:\/\/\/.)/.test(plugin.url))
    throw new UsageError(`--url: "${plugin.url}" is none; expected http://host:port or unix:///path`)
  const client = createInterlinkClient({ ...plugin, verbs: 'plugin', timeoutMs: 10_000 })
  try {
    const { ok } = await client.ping({})
    if (!ok) throw new Error('its ping says that it is not well')
  } catch (error) {
    throw new UsageError(`the plugin at ${plugin.url} does not answer: ${(error as Error).message}`)
  } finally {
    await client.close()
  }
  const dir = await mkdtemp(join(tmpdir(), 'interlink-conformance-'))
  const front = await startFront(dir, plugin, loggerTo(logFile))
  return {
    url: front.url,
    close: () => front.close().then(() => rm(dir, { recursive: true, force: true }))
  }
}

async function startFront(
  dir: string,
  plugin: { readonly url: string; readonly tokenFile?: string },
  logger: Logger
): Promise<Running> {
  const url = `unix://${dir}/api.sock`
  const api = await startApi({ listen: url, plugins: [{ name: 'subject', ...plugin }] }, { logger })
  return { url, close: () => api.close() }
}

async function preflight(module: BackendModule, options: unknown, root: string): Promise<void> {
  const backend = module.create(options, { root, log: loggerTo(undefined) })
  try {
    await backend.preflight?.()
  } catch (error) {
    throw new UsageError(`backend ${module.name}: ${(error as Error).message}`, { cause: error })
  } finally {
    await backend.close?.()
  }
}

const loggerTo = (file: string | undefined): Logger =>
  pino({ level: 'warn' }, pino.destination({ dest: file ?? '/dev/null', append: true, sync: true }))
