import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'
import { ConfigError, followFiles } from '@interlink-ts/interlink-api/config'
import type {
  Backend,
  BackendContext,
  BackendModule,
  BackendState,
  Check,
  HeldJob,
  Job,
  Plan,
  Streams,
  SubmittedJob
} from '../kit/backend.ts'
import type { Card } from '../kit/devices/card.ts'
import type { Refusal } from '../kit/plan/plan.ts'
import { readJson, writeDurable } from '../kit/jobs/durable-file.ts'
import { planFile } from '../kit/jobs/job-directory.ts'
import { readJobState } from '../kit/jobs/job-state.ts'
import { rootMark } from '../kit/jobs/root-mark.ts'
import { Addresses, hasNic } from './addresses.ts'
import { checkServer } from './check-server.ts'
import { Federation, type ServerBackend } from './federation.ts'
import { jobPath } from './first-program.ts'
import { formOf } from './form-of.ts'
import { instanceName, marks } from './instance.ts'
import { refuseCard, refuseDevices } from './instance-devices.ts'
import { awayCards } from './away-cards.ts'
import type { HubAccess } from '../kit/streams/hub-access.ts'
import { incusStreams } from './incus-streams.ts'
import { InstanceStarter } from './instance-starter.ts'
import { usageOf } from './instance-usage.ts'
import { JobMirror } from './job-mirror.ts'
import { renderLaunches } from './launches.ts'
import { IncusOptions } from './options.ts'
import { MachineBoot } from './machine-boot.ts'
import { OwnInstances } from './own-instances.ts'
import { noMachines, readWishes } from './pod-wishes.ts'
import { whyNoMachines } from './server-machines.ts'
import { stopInstance } from './stop-instance.ts'
import { offeredResources } from './offered-resources.ts'
import { PodVolumes } from './pod-volumes.ts'
import { seenInstances } from './seen-instances.ts'
import { refuseSplit } from './split-plan.ts'
import { withLayouts } from './with-layouts.ts'
import { exec } from './rest/exec.ts'
import { IncusConnection, IncusError, InstanceFiles, type IncusTls } from './rest/index.ts'

/** Beyond the grace of a pod, before its instance is stopped whatever runs in it; seconds. */
const patience = 5

/** Its supervisor may be heard before its start is over. */
const starting = ({ begun }: SubmittedJob): BackendState => ({ phase: begun ? 'active' : 'queued' })

const Instances = Type.Array(
  Type.Object({
    name: Type.String(),
    status: Type.String(),
    type: Type.String(),
    config: Type.Record(Type.String(), Type.String()),
    expanded_devices: Type.Record(Type.String(), Type.Object({ type: Type.String() }))
  })
)
type Instance = Static<typeof Instances>[number]

/** Runs pods as instances of an Incus server. */
export const incusBackend: BackendModule = {
  name: 'incus',
  options: IncusOptions,
  takesDevices: true,
  create: (input, context) => {
    const options = Value.Parse(IncusOptions, Value.Default(IncusOptions, input))
    const create = (own: IncusOptions) => withLayouts(new IncusBackend(own, context), own, context)
    return Object.keys(options.servers).length > 0 ? new Federation(options, create) : create(options)
  }
}

class IncusBackend implements ServerBackend {
  readonly name = 'incus'
  readonly #options: IncusOptions
  readonly #context: BackendContext
  readonly #incus: IncusConnection
  #tls: IncusTls | undefined
  /** Ends the look at the files of certificates. */
  readonly #following: Promise<() => void> | undefined
  readonly #mirror: JobMirror
  readonly #own: OwnInstances
  readonly #starter: InstanceStarter
  readonly #boot: MachineBoot
  readonly #access: HubAccess
  readonly #addresses: Addresses
  readonly streams: Streams
  readonly volumes: PodVolumes
  /** When a job was first asked to end, epoch ms. */
  readonly #cancelled = new Map<string, number>()
  readonly #stopping = new Set<string>()
  /** As the last `list` saw them. */
  #instances: readonly Instance[] = []

  constructor(options: IncusOptions, context: BackendContext) {
    const { url, tls, project, timeoutSeconds, bootSeconds } = options
    this.#options = options
    this.#context = context
    this.#tls = tls && readTls(tls)
    this.#incus = new IncusConnection(
      { url, ...(this.#tls ? { tls: this.#tls } : {}) },
      { project, timeoutMs: timeoutSeconds * 1000 }
    )
    this.#following = tls && this.#follow(tls)
    const { streams, access } = incusStreams(this.#incus, timeoutSeconds * 1000)
    this.streams = streams
    this.#access = access
    this.#addresses = new Addresses(this.#incus)
    this.volumes = new PodVolumes(this.#incus, options)
    this.#mirror = new JobMirror(this.#incus, context.log, {
      beforeEnd: (place) => this.#addresses.look(place),
      onEnd: (instance) => this.#onEnd(instance)
    })
    this.#own = new OwnInstances(this.#incus, context.log)
    const parts = { mirror: this.#mirror, own: this.#own, log: context.log }
    this.#starter = new InstanceStarter(this.#incus, options, parts)
    this.#boot = new MachineBoot(this.#incus, bootSeconds * 1000, context.log)
  }

  check(): Promise<Check[]> {
    return checkServer(this.#incus, this.#options, this.#tls)
  }

  async preflight() {
    const failed = (await this.check()).find(({ ok }) => !ok)
    if (failed) throw new Error(`Incus: ${failed.detail}; ${failed.fix ?? ''}`)
  }

  honours() {
    return Promise.resolve({
      hostname: true,
      userNamespace: true,
      ownNetwork: true,
      sizeLimits: true,
      user: true,
      groups: true
    })
  }

  async render(...[plan]: Parameters<Backend['render']>) {
    const rendered = renderLaunches(plan, this.#options)
    const form = formOf(plan)
    const wrong = [
      ...readWishes(plan, this.#options).refusals,
      ...form.refusals(plan, this.#options),
      ...refuseDevices(plan, form),
      ...refuseSplit(plan),
      ...(form.type === 'container' ? [] : await this.#refuseMachine()),
      ...('refusals' in rendered ? rendered.refusals : [])
    ]
    if ('refusals' in rendered || wrong.length > 0) return { refusals: wrong }
    const { notices, shown } = await seenInstances(this.#incus, plan, this.#options)
    return { ...rendered, notices: [...rendered.notices, ...form.notices(plan), ...notices], shown }
  }

  /** Without the server, a pod is shown as if it could be there. */
  async #refuseMachine(): Promise<Refusal[]> {
    const why = await this.whyNoMachines().catch(() => undefined)
    return why === undefined ? [] : [noMachines(why)]
  }

  /** In the words of the server; undefined where it runs virtual machines. @throws where it does not answer */
  whyNoMachines() {
    return whyNoMachines(this.#incus)
  }

  async submit(job: Job) {
    await this.#starter.start(job, await this.#mark())
    return { jobId: instanceName(job.uid) }
  }

  async find(job: Job) {
    return (await this.#starter.find(job, await this.#mark())) ? { jobId: instanceName(job.uid) } : undefined
  }

  async list(jobs: readonly SubmittedJob[]) {
    const mark = await this.#mark()
    // One that is started while the answer is under way may be told as stopped; nothing of its end is read from that.
    const waiting = new Set(jobs.map(({ uid }) => uid).filter((uid) => this.#starter.isWaiting(uid)))
    const answer = await this.#incus.get<unknown>('/1.0/instances', {
      recursion: 1,
      filter: `config.${marks.root} eq ${mark}`
    })
    if (!Value.Check(Instances, answer))
      throw new Error('Incus lists its instances in a way that is not known')
    this.#instances = answer
    const known = new Map(answer.map((instance) => [instance.name, instance]))
    const states = await Promise.all(
      jobs.map(async (job) => {
        const state = waiting.has(job.uid) ? starting(job) : await this.#stateOf(job, known.get(job.jobId))
        return [job.uid, state] as const
      })
    )
    return new Map<string, BackendState>(states)
  }

  async #stateOf(job: SubmittedJob, instance: Instance | undefined): Promise<BackendState> {
    const { uid, jobId, dir } = job
    if (this.#starter.isWaiting(uid) || (await this.#takesUp(job, () => !this.#cancelled.has(uid))))
      return starting(job)
    if (!instance) {
      this.#mirror.forget(jobId)
      return { phase: 'gone' }
    }
    const isMachine = instance.type === 'virtual-machine'
    if (instance.status === 'Stopped') {
      // The files of a virtual machine are to be had of its agent alone.
      if (isMachine) this.#mirror.forget(jobId)
      else await this.#mirror.collect(jobId, dir)
      return { phase: 'gone' }
    }
    // Ready: what runs in it has said so to Incus.
    if (instance.status !== 'Running' && instance.status !== 'Ready')
      return {
        phase: 'active',
        ...(instance.status === 'Frozen' ? { message: 'the instance is frozen' } : {})
      }
    const booting = isMachine ? await this.#boot.look(job) : undefined
    if (booting) return booting
    this.#mirror.follow(jobId, dir)
    await this.#addresses.look(job, hasNic(instance))
    return { phase: 'active' }
  }

  /** A plugin before this one has not come to the end of its start. @param isWanted at the moment that decides */
  async #takesUp({ uid, dir, begun }: SubmittedJob, isWanted = () => true): Promise<boolean> {
    if (begun) return false
    const { images, supervisor, finished } = await readJobState(dir)
    if (images.size === 0 || supervisor || finished) return false
    const plan = (await readJson(planFile(dir))) as Plan
    const mark = await this.#mark()
    if (!isWanted()) return false
    this.#starter.resume({ uid, dir, plan }, mark)
    return true
  }

  async cancel(job: SubmittedJob, graceSeconds: number) {
    const { uid, jobId, dir } = job
    await writeDurable(join(dir, 'stop'), `${graceSeconds}\n`)
    const now = Date.now()
    const since = this.#cancelled.get(uid) ?? now
    this.#cancelled.set(uid, since)
    if (!this.#starter.isWaiting(uid)) await this.#takesUp(job)
    if ((await this.#starter.giveUp({ uid, dir })) || (await this.#boot.giveUp({ uid, dir }))) return
    try {
      if (now - since > (graceSeconds + patience) * 1000) await this.#stop(jobId)
      else await this.#ask(jobId, dir, graceSeconds)
    } catch (error) {
      if (!(error instanceof IncusError)) throw error
      // It has ended meanwhile, or is about to.
      this.#context.log.debug({ uid, err: error }, 'an instance could not be asked to end')
    }
  }

  /** By the file that the supervisor looks for, and what makes it look at once. */
  async #ask(instance: string, dir: string, graceSeconds: number): Promise<void> {
    const files = new InstanceFiles(this.#incus, instance)
    await files.push(`${jobPath}/stop`, { type: 'file', mode: 0o600, content: `${graceSeconds}\n` })
    const { wake } = formOf((await readJson(planFile(dir))) as Plan)
    if (!wake) return
    const session = await exec(this.#incus, instance, { command: wake })
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

  /** What has got the same name elsewhere is not touched. */
  async abandon({ uid, jobId }: HeldJob) {
    if (this.#starter.isDropping(jobId)) return
    const own = await this.#own.find(jobId, uid, await this.#mark())
    if (own) await this.#own.remove(own)
  }

  async release({ uid, jobId, dir }: SubmittedJob) {
    this.#cancelled.delete(uid)
    this.#access.close(uid)
    await this.#mirror.collect(jobId, dir).catch(() => {})
    this.#mirror.forget(jobId)
    this.#boot.forget(uid)
    this.#addresses.forget(jobId)
    await this.abandon({ uid, jobId })
  }

  usage(jobs: readonly SubmittedJob[]) {
    return usageOf(this.#incus, jobs)
  }

  resources() {
    return offeredResources(this.#incus, this.#options)
  }

  refuseCard(card: Card) {
    return refuseCard(card)
  }

  away(cards: readonly Card[]) {
    return awayCards(this.#incus, cards)
  }

  async close() {
    await this.#following?.then((stop) => stop())
    this.#access.close()
    this.#starter.close()
    this.#boot.close()
    this.#mirror.close()
    await this.#incus.close()
  }

  /** Certificates are renewed while pods run. */
  #follow(tls: NonNullable<IncusOptions['tls']>): Promise<() => void> {
    const { log } = this.#context
    const files = [tls.certFile, tls.keyFile, ...(tls.caFile === undefined ? [] : [tls.caFile])]
    const take = async () => {
      const fresh = readTls(tls)
      this.#incus.setTls(fresh)
      this.#tls = fresh
      log.info({ url: this.#options.url }, 'TLS files read again')
    }
    const onError = (err: unknown) =>
      log.warn({ url: this.#options.url, err }, 'TLS files changed and cannot be used')
    return followFiles(files, take, { onError })
  }

  #mark(): Promise<string> {
    return rootMark(this.#context.root)
  }

  /** All that its pod has said is here. A virtual machine shuts down when it is removed. */
  #onEnd(instance: string): void {
    if (this.#typeOf(instance) === 'container') void this.#stop(instance)
  }

  #typeOf(instance: string): string {
    return this.#instances.find(({ name }) => name === instance)?.type ?? 'container'
  }

  /** It may have ended by itself, and does within half a minute; its release removes it in any case. */
  async #stop(instance: string): Promise<void> {
    if (this.#stopping.has(instance)) return
    this.#stopping.add(instance)
    await stopInstance(this.#incus, { name: instance, type: this.#typeOf(instance) })
      .catch((err: unknown) => this.#context.log.debug({ instance, err }, 'an instance could not be stopped'))
      .finally(() => this.#stopping.delete(instance))
  }
}

/** @throws ConfigError */
function readTls({ certFile, keyFile, caFile }: NonNullable<IncusOptions['tls']>): IncusTls {
  const read = (key: string, path: string) => {
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      const field = `options.tls.${key}`
      throw new ConfigError(`${field}: ${(error as Error).message}`, { field })
    }
  }
  const cert = read('certFile', certFile)
  const key = read('keyFile', keyFile)
  return { cert, key, ...(caFile === undefined ? {} : { ca: read('caFile', caFile) }) }
}
