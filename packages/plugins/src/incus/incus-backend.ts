import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'
import { PluginError } from '../errors.ts'
import type {
  Backend,
  BackendContext,
  BackendModule,
  BackendState,
  Check,
  HeldJob,
  Job,
  SubmittedJob
} from '../kit/backend.ts'
import { writeDurable } from '../kit/jobs/durable-file.ts'
import { packJob } from '../kit/jobs/pack-job.ts'
import { rootMark } from '../kit/jobs/root-mark.ts'
import { instanceName, instanceRequest, marks } from './instance.ts'
import { programFile, writeIncusFiles } from './job-files.ts'
import { JobMirror, jobPath } from './job-mirror.ts'
import { renderLaunches } from './launches.ts'
import { IncusOptions } from './options.ts'
import { offeredResources } from './offered-resources.ts'
import { exec } from './rest/exec.ts'
import { IncusConnection, IncusError, InstanceFiles } from './rest/index.ts'

/** Beyond the grace of a pod, before its instance is stopped whatever runs in it; seconds. */
const patience = 5
const TERM = 15

const Instances = Type.Array(
  Type.Object({
    name: Type.String(),
    status: Type.String(),
    config: Type.Record(Type.String(), Type.String())
  })
)
type Instance = Static<typeof Instances>[number]

/** Runs pods as instances of an Incus server. */
export const incusBackend: BackendModule = {
  name: 'incus',
  options: IncusOptions,
  create: (options, context) =>
    new IncusBackend(Value.Parse(IncusOptions, Value.Default(IncusOptions, options)), context)
}

class IncusBackend implements Backend {
  readonly name = 'incus'
  readonly #options: IncusOptions
  readonly #context: BackendContext
  readonly #incus: IncusConnection
  readonly #mirror: JobMirror
  /** When a job was first asked to end, epoch ms. */
  readonly #cancelled = new Map<string, number>()
  /** As the last `list` saw them. */
  #instances: readonly Instance[] = []

  constructor(options: IncusOptions, context: BackendContext) {
    const { url, tls, project, timeoutSeconds } = options
    this.#options = options
    this.#context = context
    this.#incus = new IncusConnection(
      { url, ...(tls ? { tls: readTls(tls) } : {}) },
      { project, timeoutMs: timeoutSeconds * 1000 }
    )
    this.#mirror = new JobMirror(this.#incus, context.log, (instance) => void this.#stop(instance))
  }

  async check(): Promise<Check[]> {
    try {
      const { auth, environment } = await this.#incus.get<{
        auth: string
        environment?: { server_version?: string; server_name?: string }
      }>('/1.0')
      const { server_version: version, server_name: server } = environment ?? {}
      return [
        { name: 'server', ok: true, detail: `Incus ${version ?? ''} on ${server ?? this.#options.url}` },
        auth === 'trusted'
          ? { name: 'trust', ok: true, detail: 'the certificate is trusted' }
          : {
              name: 'trust',
              ok: false,
              detail: 'the server does not know this client',
              fix: 'incus config trust add-certificate <options.tls.certFile>'
            }
      ]
    } catch (error) {
      const detail = (error as Error).message
      return [{ name: 'server', ok: false, detail, fix: 'set options.url to where the Incus server listens' }]
    }
  }

  async preflight() {
    const failed = (await this.check()).find(({ ok }) => !ok)
    if (failed) throw new Error(`Incus: ${failed.detail}; ${failed.fix ?? ''}`)
  }

  honours() {
    return Promise.resolve({ hostname: true, userNamespace: true })
  }

  async render(...[plan]: Parameters<Backend['render']>) {
    const rendered = renderLaunches(plan)
    if ('refusals' in rendered) return rendered
    const request = JSON.stringify(instanceRequest(plan, '<mark>', this.#options), null, 2)
    return { ...rendered, shown: [{ title: 'POST /1.0/instances', text: request }] }
  }

  async submit(job: Job) {
    const name = instanceName(job.uid)
    const mark = await rootMark(this.#context.root)
    await writeIncusFiles(job.plan, job.dir)
    try {
      await this.#incus.change('POST', '/1.0/instances', {
        json: instanceRequest(job.plan, mark, this.#options)
      })
    } catch (error) {
      if (!(await this.#isOurs(name, job.uid, mark))) throw refusal(error)
    }
    try {
      const files = new InstanceFiles(this.#incus, name)
      await files.push(jobPath, { type: 'directory', mode: 0o700 })
      await files.push(`${jobPath}/job.tar`, { type: 'file', mode: 0o600, content: await packJob(job.dir) })
      const init = readFileSync(programFile('init.sh'))
      await files.push(`${jobPath}/init.sh`, { type: 'file', mode: 0o700, content: init })
      await this.#state(name, 'start')
    } catch (error) {
      await this.#remove(name).catch((err: unknown) =>
        this.#context.log.warn(
          { uid: job.uid, instance: name, err },
          'an instance that did not start is left'
        )
      )
      throw refusal(error)
    }
    this.#mirror.follow(name, job.dir)
    return { jobId: name }
  }

  /** One that was made but never begun is none: its job goes in anew. */
  async find(job: Job) {
    const name = instanceName(job.uid)
    const mark = await rootMark(this.#context.root)
    if (!(await this.#isOurs(name, job.uid, mark))) return undefined
    const { status } = await this.#incus.get<{ status: string }>(`/1.0/instances/${name}`)
    const waits = await new InstanceFiles(this.#incus, name).read(`${jobPath}/job.tar`)
    if (status !== 'Stopped' || waits === undefined) return { jobId: name }
    await this.#remove(name)
    return undefined
  }

  async list(jobs: readonly SubmittedJob[]) {
    const mark = await rootMark(this.#context.root)
    const answer = await this.#incus.get<unknown>('/1.0/instances', {
      recursion: 1,
      filter: `config.${marks.root} eq ${mark}`
    })
    if (!Value.Check(Instances, answer))
      throw new Error('Incus lists its instances in a way that is not known')
    this.#instances = answer
    const known = new Map(answer.map((instance) => [instance.name, instance]))
    const states = await Promise.all(
      jobs.map(async (job) => [job.uid, await this.#stateOf(job, known.get(job.jobId))] as const)
    )
    return new Map<string, BackendState>(states)
  }

  async #stateOf({ jobId, dir }: SubmittedJob, instance: Instance | undefined): Promise<BackendState> {
    if (!instance) {
      this.#mirror.forget(jobId)
      return { phase: 'gone' }
    }
    if (instance.status === 'Stopped') {
      await this.#mirror.collect(jobId, dir)
      return { phase: 'gone' }
    }
    if (instance.status === 'Running') this.#mirror.follow(jobId, dir)
    return { phase: 'active', ...(instance.status === 'Frozen' ? { message: 'the instance is frozen' } : {}) }
  }

  async cancel({ uid, jobId, dir }: SubmittedJob, graceSeconds: number) {
    await writeDurable(join(dir, 'stop'), `${graceSeconds}\n`)
    const now = Date.now()
    const since = this.#cancelled.get(uid) ?? now
    this.#cancelled.set(uid, since)
    try {
      if (now - since > (graceSeconds + patience) * 1000) await this.#stop(jobId)
      else await this.#ask(jobId, graceSeconds)
    } catch (error) {
      if (!(error instanceof IncusError)) throw error
      // It has ended meanwhile, or is about to.
      this.#context.log.debug({ uid, err: error }, 'an instance could not be asked to end')
    }
  }

  /** By the file that the supervisor looks for, and by a signal that makes it look at once. */
  async #ask(instance: string, graceSeconds: number): Promise<void> {
    const files = new InstanceFiles(this.#incus, instance)
    await files.push(`${jobPath}/stop`, { type: 'file', mode: 0o600, content: `${graceSeconds}\n` })
    const session = await exec(this.#incus, instance, { command: ['kill', '-s', String(TERM), '1'] })
    session.stdin.end()
    session.stdout.resume()
    session.stderr.resume()
    await session.exited
  }

  held(): HeldJob[] {
    return this.#instances.flatMap(({ name, config }) => {
      const uid = config[marks.uid]
      return uid === undefined ? [] : [{ uid, jobId: name }]
    })
  }

  abandon({ jobId }: HeldJob) {
    return this.#remove(jobId)
  }

  async release({ uid, jobId, dir }: SubmittedJob) {
    this.#cancelled.delete(uid)
    await this.#mirror.collect(jobId, dir).catch(() => {})
    this.#mirror.forget(jobId)
    await this.#remove(jobId)
  }

  resources() {
    return offeredResources(this.#incus, this.#options)
  }

  async close() {
    this.#mirror.close()
    await this.#incus.close()
  }

  async #isOurs(name: string, uid: string, mark: string): Promise<boolean> {
    try {
      const { config } = await this.#incus.get<Instance>(`/1.0/instances/${name}`)
      return config[marks.uid] === uid && config[marks.root] === mark
    } catch (error) {
      if (error instanceof IncusError && error.isMissing) return false
      throw error
    }
  }

  async #state(instance: string, action: 'start' | 'stop'): Promise<void> {
    await this.#incus.change('PUT', `/1.0/instances/${instance}/state`, {
      json: { action, ...(action === 'stop' ? { force: true } : {}) }
    })
  }

  /** It may have ended by itself. */
  async #stop(instance: string): Promise<void> {
    await this.#state(instance, 'stop').catch((err: unknown) =>
      this.#context.log.debug({ instance, err }, 'an instance could not be stopped')
    )
  }

  async #remove(instance: string): Promise<void> {
    try {
      await this.#stop(instance)
      await this.#incus.change('DELETE', `/1.0/instances/${instance}`)
    } catch (error) {
      if (!(error instanceof IncusError) || !error.isMissing) throw error
    }
  }
}

const readTls = ({ certFile, keyFile, caFile }: NonNullable<IncusOptions['tls']>) => ({
  cert: readFileSync(certFile, 'utf8'),
  key: readFileSync(keyFile, 'utf8'),
  ...(caFile === undefined ? {} : { ca: readFileSync(caFile, 'utf8') })
})

/** What Incus says no to will not be right by being said again. */
function refusal(error: unknown): unknown {
  return error instanceof IncusError && error.status < 500 && error.status !== 401
    ? new PluginError('PLUGIN_BACKEND_REFUSED', { backend: 'Incus', reason: error.message })
    : error
}
