import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { pino, type Logger } from 'pino'
import { createInterlinkClient } from '@interlink-ts/interlink-api/client'
import { startApi } from '@interlink-ts/interlink-api/server'
import { loadPluginConfig, preflight, startPlugin, type BackendModule } from '@interlink-ts/plugins/kit'
import { incusMissing, startIncusLab, type IncusLab } from '@interlink-ts/dev-cluster/incus'
import { incusBackend } from '@interlink-ts/plugins/incus'
import { slurmBackend } from '@interlink-ts/plugins/slurm'
import { processBackend } from '@interlink-ts/plugins/process'
import { htcondorBackend } from '@interlink-ts/plugins/htcondor'
import { ociLabMissing, startOciLab } from '../incus/oci-lab.ts'
import { secondIncusMissing, startSecondIncus } from '../incus/second-incus.ts'
import { imagePoolMissing, startImagePool } from '../htcondor/image-pool.ts'
import { imageLabMissing, startImageLab } from '../slurm/image-lab.ts'
import type { Makings } from './workbench.ts'

/** A backend under test, and what its pods are made of. */
export interface Subject extends Makings {
  readonly module: BackendModule
  /** The backend's own section of the plugin configuration. */
  readonly options: Record<string, unknown>
  /**
   * What it declares that it cannot do: the case, and the words of the refusal. Any other refusal is a failure.
   * @default whatever is refused by its field may be refused
   */
  readonly declines?: Readonly<Record<string, RegExp>>
  /** Brings up what the backend runs on; its options come before those above, its image in place of that. */
  start?(slurm?: string): Promise<Ground>
}

interface Ground {
  readonly options: Record<string, unknown>
  readonly image: string
  close(): Promise<void>
}

const subjects: Readonly<Record<string, Subject>> = {
  process: { module: processBackend, image: 'host', options: {} },
  slurm: { module: slurmBackend, image: 'host', options: {} },
  htcondor: { module: htcondorBackend, image: 'host', options: {} },
  incus: { module: incusBackend, image: 'busybox', options: {} }
}

/** Whoever runs containers by Apptainer. */
const apptainer = {
  'names that are no shell names are in the environment too': /\.env.*Apptainer cannot set a\.b, a-b, 1st/
}

/** Of a private cluster all jobs are those of who has started it. */
const ofLab: Readonly<Record<string, RegExp>> = {
  ...apptainer,
  ...(process.getuid!() === 0
    ? {
        'the pod of a hardened namespace runs, and sees the uid it asks for or is told that it does not':
          /runAsNonRoot and would run as root/
      }
    : {})
}

/** On a private cluster, with Apptainer and images of a private registry; behind SSH, with a file system of its own. */
const onLab: Readonly<Record<string, Subject>> = {
  incus: { ...subjects.incus!, start: () => startIncus(incusMissing(), startIncusLab) },
  'incus-containers': {
    ...subjects.incus!,
    annotations: { 'interlink.io/incus-layout': 'containers' },
    declines: {
      'an emptyDir is shared by the containers of a pod, also in memory, and empty at first':
        /emptyDir\.medium: memory is not shared by instances/
    },
    start: () => startIncus(incusMissing(), startIncusLab)
  },
  'incus-7': { ...subjects.incus!, start: () => startIncus(secondIncusMissing(), startSecondIncus) },
  'incus-oci': { ...subjects.incus!, start: startOci },
  htcondor: { ...subjects.htcondor!, declines: apptainer, start: startPool },
  slurm: {
    ...subjects.slurm!,
    declines: ofLab,
    start: (slurm) => startLab(false, slurm)
  },
  'slurm-ssh': {
    ...subjects.slurm!,
    declines: ofLab,
    start: (slurm) => startLab(true, slurm)
  }
}

/** `prefix` is that of the Slurm; default: this machine's. */
function startLab(ssh: boolean, prefix: string | undefined): Promise<Ground> {
  const missing = imageLabMissing(ssh, prefix)
  if (missing !== undefined) throw new UsageError(`--lab: ${missing}`)
  return startImageLab({ ssh, prefix })
}

function startPool(): Promise<Ground> {
  const missing = imagePoolMissing()
  if (missing !== undefined) throw new UsageError(`--lab: ${missing}`)
  return startImagePool()
}

async function startIncus(missing: string | undefined, start: () => Promise<IncusLab>): Promise<Ground> {
  if (missing !== undefined) throw new UsageError(`--lab: ${missing}`)
  const lab = await start()
  return { options: { url: `unix://${lab.socket}` }, image: 'busybox', close: () => lab.close() }
}

/** On Incus 7.0, with pods of an image of a registry. */
async function startOci(): Promise<Ground> {
  const missing = ociLabMissing()
  if (missing !== undefined) throw new UsageError(`--lab: ${missing}`)
  const { lab, registry, root, options, close } = await startOciLab()
  await registry.push('lab/busybox:1', root)
  return {
    options: { url: `unix://${lab.socket}`, ...options },
    image: `${registry.host}/lab/busybox:1`,
    close
  }
}

/** What was asked for cannot be done; the message says what can. */
export class UsageError extends Error {}

/** A backend of this project, or of a module at that path, which is to know the image `host`. */
export async function subjectOf(name: string, lab: boolean): Promise<Subject> {
  if (name.includes('/')) {
    if (lab) throw new UsageError(`--lab is of the backends ${Object.keys(onLab).join(', ')}`)
    const { default: module } = (await import(pathToFileURL(name).href).catch((error: Error) => {
      throw new UsageError(`backend ${name} cannot be imported: ${error.message}`)
    })) as { default: BackendModule }
    return { module, image: 'host', options: {} }
  }
  const subject = (lab ? onLab : subjects)[name]
  if (subject) return subject
  if (name in subjects) throw new UsageError(`--lab is of the backends ${Object.keys(onLab).join(', ')}`)
  if (name in onLab) throw new UsageError(`backend ${name} is a private one; add --lab`)
  throw new UsageError(
    `backend "${name}" is not known; known are ${Object.keys(subjects).join(', ')}, with --lab ${Object.keys(onLab).join(', ')}, and paths such as ./backend.js`
  )
}

export interface Running {
  /** Of the API server in front of the plugin. */
  readonly url: string
  /** Where the backend says so. */
  readonly makings?: Makings
  /** Removes the job directories too. */
  close(): Promise<void>
}

interface StartOptions {
  /** What the plugin and the API server say from warnings on; default: nowhere. */
  readonly logFile?: string | undefined
  /** Configuration of the plugin, all but where it listens. */
  readonly config?: string | undefined
  /** Prefix of a private Slurm; default: this machine's. */
  readonly slurm?: string | undefined
}

/** The plugin with the API server in front of it, on sockets of a directory of their own. */
export async function startSubject(
  subject: Subject,
  { logFile, config, slurm }: StartOptions
): Promise<Running> {
  const { module } = subject
  const ground = await subject.start?.(slurm)
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
    await preflight(module, loaded.options, { root, log: loggerTo(undefined) }).catch((error: Error) => {
      throw new UsageError(error.message, { cause: error })
    })
    const listen = `unix://${dir}/plugin.sock`
    const logger = loggerTo(logFile)
    const plugin = await startPlugin({
      module,
      // A log that comes with the end of its pod is read to that end.
      config: { ...loaded, listen, root, retention: { deletedSeconds: 30, tombstoneSeconds: 60 } },
      log: logger
    })
    const tokenFile = loaded.auth.tokenFile
    const front = await startFront(dir, { url: listen, ...(tokenFile ? { tokenFile } : {}) }, logger)
    const makings = { ...subject, ...(ground ? { image: ground.image } : {}) }
    return { url: front.url, makings, close: () => front.close().then(plugin.close).then(removed) }
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
  const client = createInterlinkClient({ ...plugin, verbs: 'plugin' })
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

const loggerTo = (file: string | undefined): Logger =>
  pino({ level: 'warn' }, pino.destination({ dest: file ?? '/dev/null', append: true, sync: true }))
