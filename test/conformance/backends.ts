import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { pino } from 'pino'
import { slurmMissing, startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { startApi } from '@interlink-ts/interlink-api/server'
import { startPlugin, type BackendModule } from '@interlink-ts/plugins/kit'
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
  slurm: { module: slurmBackend, image: 'host', options: {}, start: () => startCluster(false) },
  'slurm-ssh': { module: slurmBackend, image: 'host', options: {}, start: () => startCluster(true) }
}

/** A private Slurm; behind SSH, with a file system of its own. */
async function startCluster(ssh: boolean) {
  const missing = slurmMissing() ?? (ssh ? sshdMissing() : undefined)
  if (missing !== undefined) throw new Error(`no Slurm here: ${missing}`)
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

/** A backend of this project, or of a module at that path, which is to know the image `host`. */
export async function subjectOf(name: string): Promise<Subject> {
  if (!name.includes('/')) {
    const subject = subjects[name]
    if (subject) return subject
    throw new Error(
      `backend "${name}" is not known; known are ${Object.keys(subjects).join(', ')}, and paths such as ./backend.js`
    )
  }
  const { default: module } = (await import(pathToFileURL(name).href)) as { default: BackendModule }
  return { module, image: 'host', options: {} }
}

export interface Running {
  /** Of the API server in front of the plugin. */
  readonly url: string
  /** Removes the job directories too. */
  close(): Promise<void>
}

/** The plugin with the API server in front of it, on sockets of a directory of their own. */
export async function startSubject(subject: Subject, logFile?: string): Promise<Running> {
  const { module } = subject
  const ground = await subject.start?.()
  const options = { ...ground?.options, ...subject.options }
  const dir = await mkdtemp(join(tmpdir(), 'interlink-conformance-'))
  const logger = pino(
    { level: 'warn' },
    pino.destination({ dest: logFile ?? '/dev/null', append: true, sync: true })
  )
  const listen = `unix://${dir}/plugin.sock`
  const plugin = await startPlugin({
    module,
    config: {
      listen,
      root: join(dir, 'jobs'),
      options,
      retention: { deletedSeconds: 0, tombstoneSeconds: 60 }
    },
    log: logger
  })
  const url = `unix://${dir}/api.sock`
  const api = await startApi({ listen: url, plugins: [{ name: module.name, url: listen }] }, { logger })
  return {
    url,
    close: async () => {
      await api.close()
      await plugin.close()
      await ground?.close()
      await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
    }
  }
}
