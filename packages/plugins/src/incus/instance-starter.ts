import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BackendContext, Job } from '../kit/backend.ts'
import { replaceMirrored } from '../kit/jobs/mirrored-files.ts'
import { retryPauseMs } from '../kit/jobs/retry-pause.ts'
import { endUnbegun } from './end-unbegun.ts'
import { jobPath } from './first-program.ts'
import { formOf } from './form-of.ts'
import { ImageNotHad, InstanceLauncher, makingOf, type Starting } from './instance-launcher.ts'
import { instanceName } from './instance.ts'
import type { JobMirror } from './job-mirror.ts'
import type { IncusOptions } from './options.ts'
import type { OwnInstances } from './own-instances.ts'
import { InstanceFiles, type IncusConnection, type Operation } from './rest/index.ts'

/** As a kubelet: 10 s, doubled to 5 min. */
const firstMs = 10_000
const longestMs = 300_000

interface Attempt {
  /**
   * `taking`: what a plugin before has left is looked at. `making`: it may take minutes, of which most are for the
   * image. `resting`: until it is tried again.
   */
  phase: 'taking' | 'making' | 'starting' | 'resting'
  failures: number
  isGivenUp: boolean
  operation?: Operation
  timer?: NodeJS.Timeout
  /** Called when Incus has taken the instance on. */
  onTaken?: () => void
}

interface Told {
  /** In the words of a kubelet. */
  readonly reason: 'Pulling' | 'ErrImagePull' | 'ImagePullBackOff' | 'CreateContainerError'
  readonly message: string
}

/**
 * Has the instances of pods made and started. What takes its time, such as an image that is fetched, goes on while the
 * pod waits; what fails then is tried again and again. What is in the job directory and on the server says how far that
 * came, so that a plugin which is started anew goes on there.
 */
export class InstanceStarter {
  readonly #incus: IncusConnection
  readonly #own: OwnInstances
  readonly #log: BackendContext['log']
  readonly #createMs: number
  readonly #launcher: InstanceLauncher
  /** By UID. */
  readonly #attempts = new Map<string, Attempt>()
  /** Instances that were given up while Incus makes them, and are removed when they are there. */
  readonly #dropping = new Set<string>()
  #closed = false

  constructor(
    incus: IncusConnection,
    options: IncusOptions,
    {
      mirror,
      own,
      log
    }: { readonly mirror: JobMirror; readonly own: OwnInstances; readonly log: BackendContext['log'] }
  ) {
    this.#incus = incus
    this.#own = own
    this.#log = log
    this.#createMs = options.createSeconds * 1000
    this.#launcher = new InstanceLauncher(incus, options, mirror, own)
  }

  /** There is no instance yet that anybody may look into or make. */
  isWaiting(uid: string): boolean {
    return this.#attempts.has(uid)
  }

  isDropping(instance: string): boolean {
    return this.#dropping.has(instance)
  }

  /**
   * Resolves when the instance runs and has its job, when a virtual machine boots, or when its image is waited for.
   * @throws PluginError `PLUGIN_BACKEND_REFUSED` for good; any other error where a later try may do. No instance is left.
   */
  async start(job: Starting, mark: string): Promise<void> {
    const attempt = this.#begin(job.uid, 'making')
    const launched = this.#launch(job, mark, attempt)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      attempt.onTaken = () => (timer = setTimeout(resolve, this.#createMs))
    })
    try {
      await Promise.race([launched, late])
    } finally {
      clearTimeout(timer)
      delete attempt.onTaken
    }
    if (attempt.phase === 'making') this.#follow(job, mark, attempt, launched)
    else await launched
  }

  /** What was begun by a plugin before this one: goes on with what there is. */
  resume(job: Starting, mark: string): void {
    if (this.isWaiting(job.uid)) return
    const attempt = this.#begin(job.uid, 'taking')
    this.#follow(job, mark, attempt, this.#take(job, mark, attempt))
  }

  /**
   * Whether there is an instance that has its job or is being made. One that has never got its job is none: another is
   * made. A virtual machine gets it after it is known as submitted: one that is stopped before has not.
   */
  async find(job: Starting, mark: string): Promise<boolean> {
    return (
      (await makingOf(this.#incus, instanceName(job.uid))) !== undefined || (await this.#hasJob(job, mark))
    )
  }

  /** It ends before it has begun. Resolves with whether it did. */
  async giveUp({ uid, dir }: Pick<Job, 'uid' | 'dir'>): Promise<boolean> {
    const attempt = this.#attempts.get(uid)
    if (attempt?.phase !== 'making' && attempt?.phase !== 'resting') return false
    attempt.isGivenUp = true
    this.#attempts.delete(uid)
    clearTimeout(attempt.timer)
    if (attempt.phase === 'making') this.#dropping.add(instanceName(uid))
    if (attempt.operation) this.#cancel(attempt.operation)
    await endUnbegun(dir)
    return true
  }

  close(): void {
    this.#closed = true
    for (const { timer } of this.#attempts.values()) clearTimeout(timer)
  }

  #begin(uid: string, phase: Attempt['phase']): Attempt {
    const attempt: Attempt = { phase, failures: 0, isGivenUp: false }
    this.#attempts.set(uid, attempt)
    return attempt
  }

  async #take(job: Starting, mark: string, attempt: Attempt): Promise<void> {
    const making = await makingOf(this.#incus, instanceName(job.uid))
    if (making || !(await this.#hasJob(job, mark))) return this.#launch(job, mark, attempt, making)
    await this.#tell(job, undefined)
    this.#attempts.delete(job.uid)
  }

  async #hasJob({ uid, plan }: Starting, mark: string): Promise<boolean> {
    const found = await this.#own.find(instanceName(uid), uid, mark)
    if (!found) return false
    const { name, status } = found
    const hasJob =
      formOf(plan).startedBy === 'agent'
        ? status !== 'Stopped'
        : (await new InstanceFiles(this.#incus, name).read(`${jobPath}/conf`)) !== undefined
    if (!hasJob) await this.#own.remove(found)
    return hasJob
  }

  async #launch(job: Starting, mark: string, attempt: Attempt, making?: Operation): Promise<void> {
    const { uid, plan } = job
    attempt.phase = 'making'
    try {
      // Before there is anything: a plugin that is started anew knows by it what is not finished.
      await this.#tell(job, { reason: 'Pulling', message: `Pulling image "${plan.containers[0]!.image}"` })
      const steps = {
        onMaking: (operation: Operation) => {
          attempt.operation = operation
          attempt.onTaken?.()
          if (attempt.isGivenUp) this.#cancel(operation)
        },
        onMade: () => {
          delete attempt.operation
          attempt.phase = 'starting'
        },
        isGivenUp: () => attempt.isGivenUp
      }
      await this.#launcher.launch(job, mark, steps, making)
      await this.#tell(job, undefined)
      this.#attempts.delete(uid)
    } catch (error) {
      delete attempt.operation
      if (error instanceof ImageNotHad && !attempt.isGivenUp) return this.#rest(job, mark, attempt, error)
      this.#attempts.delete(uid)
      throw error
    }
  }

  /** Nobody else waits for it. */
  #follow(job: Starting, mark: string, attempt: Attempt, launched: Promise<void>): void {
    const { uid } = job
    launched
      .catch(async (err: unknown) => {
        if (this.#closed) return
        if (attempt.isGivenUp) return this.#drop(job, mark)
        this.#log.warn({ uid, err }, 'an instance could not be started; tried again')
        await this.#rest(job, mark, attempt, err as Error)
      })
      .catch((err: unknown) => {
        // Whoever lists the jobs takes it up.
        this.#attempts.delete(uid)
        this.#log.warn({ uid, err }, 'an instance is not waited for')
      })
  }

  /** Given up while it was made: whatever has become of it, and however long the server is away. */
  async #drop({ uid }: Starting, mark: string): Promise<void> {
    const name = instanceName(uid)
    for (let turn = 0; !this.#closed; turn++)
      try {
        const made = await this.#own.find(name, uid, mark)
        if (made) await this.#own.remove(made)
        break
      } catch (err) {
        this.#log.warn({ uid, err }, 'an instance that is not wanted was not removed; tried again')
        await delay(retryPauseMs(turn), undefined, { ref: false })
      }
    this.#dropping.delete(name)
  }

  async #rest(job: Starting, mark: string, attempt: Attempt, error: Error): Promise<void> {
    attempt.phase = 'resting'
    this.#attempts.set(job.uid, attempt)
    const pauseMs = Math.min(firstMs * 2 ** attempt.failures, longestMs)
    await this.#tell(job, failureOf(job, error, attempt.failures++))
    if (attempt.isGivenUp || this.#closed) return
    const again = () => this.#follow(job, mark, attempt, this.#launch(job, mark, attempt))
    attempt.timer = setTimeout(again, pauseMs)
    attempt.timer.unref()
  }

  /** Not all that Incus does can be cancelled; what it has made in the end is removed then. */
  #cancel({ id }: Operation): void {
    this.#incus
      .change('DELETE', `/1.0/operations/${id}`)
      .catch((err: unknown) => this.#log.debug({ operation: id, err }, 'an operation was not cancelled'))
  }

  /** Of all containers, which are of one image; see docs/reference/job-directory.md. */
  async #tell({ plan, dir }: Starting, told: Told | undefined): Promise<void> {
    await mkdir(join(dir, 'state'), { recursive: true, mode: 0o700 })
    for (const { name } of plan.containers) {
      const path = join(dir, 'state', `i.${name}`)
      if (!told) await rm(path, { force: true })
      else
        await replaceMirrored(
          path,
          Buffer.from(`reason=${told.reason}\nmessage=${told.message.replaceAll('\n', ' ')}\n`)
        )
    }
  }
}

function failureOf({ plan }: Starting, error: Error, failures: number): Told {
  const { message } = error
  if (!(error instanceof ImageNotHad)) return { reason: 'CreateContainerError', message }
  if (failures === 0) return { reason: 'ErrImagePull', message }
  const { image } = plan.containers[0]!
  return {
    reason: 'ImagePullBackOff',
    message: `Back-off pulling image "${image}": ErrImagePull: ${message}`
  }
}
