import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PluginError } from '../errors.ts'
import type { BackendContext, Job } from '../kit/backend.ts'
import { replaceMirrored } from '../kit/jobs/mirrored-files.ts'
import { packJob } from '../kit/jobs/pack-job.ts'
import { endUnbegun } from './end-unbegun.ts'
import { formOf } from './form-of.ts'
import { missingDevice } from './instance-devices.ts'
import { instanceName, instanceRequest, isMarked, profilesOf, type Marked } from './instance.ts'
import { writeIncusFiles } from './job-files.ts'
import type { JobMirror } from './job-mirror.ts'
import { needOci, ociImage, takeImage, wordsOfPull } from './oci-image.ts'
import type { IncusOptions } from './options.ts'
import { rootDiskOf } from './root-disk.ts'
import { again, IncusError, type IncusConnection } from './rest/index.ts'
import { stopInstance } from './stop-instance.ts'

/** As a kubelet: 10 s, doubled to 5 min. */
const firstMs = 10_000
const longestMs = 300_000
const busyPausesMs = [500, 2000, 5000, 10_000] as const

export interface Instance extends Marked {
  readonly name: string
  /** `container` or `virtual-machine`. */
  readonly type: string
  readonly status: string
}

type Starting = Pick<Job, 'uid' | 'dir' | 'plan'>

/** Makes the instances of pods and starts them; where an image is not to be had, again and again. */
export class InstanceStarter {
  readonly #incus: IncusConnection
  readonly #options: IncusOptions
  readonly #mirror: JobMirror
  readonly #log: BackendContext['log']
  /** By UID: when it is tried again. */
  readonly #waiting = new Map<string, NodeJS.Timeout>()
  /** By UID: tried again at this moment. */
  readonly #trying = new Set<string>()
  /** By name: a virtual machine takes a while to shut down. */
  readonly #removing = new Map<string, Promise<void>>()

  constructor(
    incus: IncusConnection,
    options: IncusOptions,
    { mirror, log }: { readonly mirror: JobMirror; readonly log: BackendContext['log'] }
  ) {
    this.#incus = incus
    this.#options = options
    this.#mirror = mirror
    this.#log = log
  }

  /** Its image is waited for; there is no instance yet that anybody may look into or make. */
  isWaiting(uid: string): boolean {
    return this.#waiting.has(uid) || this.#trying.has(uid)
  }

  /**
   * Resolves when the instance runs and has its job, when a virtual machine boots, or when its image is waited for.
   * @throws PluginError `PLUGIN_BACKEND_REFUSED` for good; any other error where a later try may do. No instance is left.
   */
  async start(job: Starting, mark: string, pauseMs = firstMs): Promise<void> {
    const disk = await rootDiskOf(this.#incus, job.plan, profilesOf(job.plan, this.#options))
    await writeIncusFiles(job.plan, job.dir, disk?.bytes)
    const name = instanceName(job.uid)
    const form = formOf(job.plan)
    const { image } = job.plan.containers[0]!
    const isOci = ociImage(image, this.#options.remotes) !== undefined
    if (isOci) await needOci(this.#incus, image)
    // A machine gets its job when it has booted, as it is then; what an OCI image runs is known once there is an
    // instance of it.
    const isBrought = form.startedBy === 'init'
    const packed = isBrought && !isOci ? packJob(job.dir) : undefined
    packed?.catch(() => {})
    try {
      await this.#incus.change('POST', '/1.0/instances', {
        json: instanceRequest(job.plan, mark, this.#options, disk)
      })
    } catch (error) {
      if (disk && isOfSize(error)) {
        const reason = `the image takes more than the ${disk.bytes} bytes of the pod's ephemeral-storage limits, which count it; raise them (${error.message})`
        throw new PluginError('PLUGIN_BACKEND_REFUSED', { backend: 'Incus', reason })
      }
      if (isOfImage(error))
        return this.#wait(job, mark, pauseMs, wordsOfPull(image, error.message, this.#options.remotes))
      // It may have been made all the same, or before; the next try makes one that has what is asked for now.
      const made = await this.own(name, job.uid, mark)
      if (made) await this.remove(made)
      throw refusal(error)
    }
    try {
      if (isOci) await takeImage(this.#incus, name, { dir: job.dir, image })
      await this.#incus.change('PUT', `/1.0/instances/${name}/state`, { json: { action: 'start' } })
      if (isBrought) await this.#mirror.begin(name, job.dir, await (packed ?? packJob(job.dir)))
    } catch (error) {
      await this.remove({ name, type: form.type }).catch((err: unknown) =>
        this.#log.warn({ uid: job.uid, instance: name, err }, 'an instance that did not start is left')
      )
      throw missingDevice(job.plan, error) ?? refusal(error)
    }
    await this.#tell(job, undefined)
  }

  /** It ends before it has begun. Resolves with whether it did. */
  async giveUp({ uid, dir }: Pick<Job, 'uid' | 'dir'>): Promise<boolean> {
    const timer = this.#waiting.get(uid)
    if (!timer) return false
    clearTimeout(timer)
    this.#waiting.delete(uid)
    await endUnbegun(dir)
    return true
  }

  close(): void {
    for (const timer of this.#waiting.values()) clearTimeout(timer)
  }

  /** The instance of this name, where it is this plugin's and that pod's. */
  async own(name: string, uid: string, mark: string): Promise<Instance | undefined> {
    try {
      const found = await this.#incus.get<Instance>(`/1.0/instances/${name}`)
      return isMarked(found.config, uid, mark) ? found : undefined
    } catch (error) {
      if (error instanceof IncusError && error.isMissing) return undefined
      throw error
    }
  }

  /**
   * Whatever runs in it, once, however often it is asked for meanwhile. One that is stopped by somebody else at this
   * moment can be neither stopped nor deleted.
   */
  remove(instance: Pick<Instance, 'name' | 'type'>): Promise<void> {
    const { name } = instance
    const before = this.#removing.get(name)
    if (before) return before
    const removing = again(
      busyPausesMs,
      () => this.#removeNow(instance),
      (err) => {
        this.#log.debug({ instance: name, err }, 'an instance could not be removed; tried again')
        return true
      }
    ).finally(() => this.#removing.delete(name))
    this.#removing.set(name, removing)
    return removing
  }

  async #removeNow({ name, type }: Pick<Instance, 'name' | 'type'>): Promise<void> {
    try {
      // It has stopped already, or is not there: the deletion tells.
      await stopInstance(this.#incus, { name, type }).catch((error: unknown) => error)
      await this.#incus.change('DELETE', `/1.0/instances/${name}`)
    } catch (error) {
      if (!(error instanceof IncusError) || !error.isMissing) throw error
    }
  }

  async #wait(job: Starting, mark: string, pauseMs: number, message: string): Promise<void> {
    await this.#tell(job, message)
    const again = () => {
      this.#waiting.delete(job.uid)
      this.#trying.add(job.uid)
      void this.start(job, mark, Math.min(pauseMs * 2, longestMs))
        .catch((err: unknown) => {
          this.#log.warn({ uid: job.uid, err }, 'an instance could not be started; tried again')
          return this.#wait(job, mark, Math.min(pauseMs * 2, longestMs), (err as Error).message)
        })
        // Whoever lists the jobs takes it up.
        .catch((err: unknown) => this.#log.warn({ uid: job.uid, err }, 'an instance is not waited for'))
        .finally(() => this.#trying.delete(job.uid))
    }
    const timer = setTimeout(again, pauseMs)
    timer.unref()
    this.#waiting.set(job.uid, timer)
  }

  /** Of all containers, which are of one image; see docs/reference/job-directory.md. */
  async #tell({ plan, dir }: Starting, message: string | undefined): Promise<void> {
    await mkdir(join(dir, 'state'), { recursive: true, mode: 0o700 })
    for (const { name } of plan.containers) {
      const path = join(dir, 'state', `i.${name}`)
      if (message === undefined) await rm(path, { force: true })
      else
        await replaceMirrored(
          path,
          Buffer.from(`reason=ErrImagePull\nmessage=${message.replaceAll('\n', ' ')}\n`)
        )
    }
  }
}

/** There may be such an image later: unknown aliases and fingerprints, servers that are away. */
const isOfImage = (error: unknown): error is IncusError =>
  error instanceof IncusError && /image|alias|fingerprint|simplestreams|registry|skopeo/i.test(error.message)

/** The image does not fit where the pod may write: with a quota, and on a disk of its own. */
const isOfSize = (error: unknown): error is IncusError =>
  error instanceof IncusError && /quota exceeded|exceeds specified volume size/i.test(error.message)

/** What Incus says no to will not be right by being said again. */
function refusal(error: unknown): unknown {
  return error instanceof IncusError && isForGood(error)
    ? new PluginError('PLUGIN_BACKEND_REFUSED', { backend: 'Incus', reason: error.message })
    : error
}

/**
 * A pod without limits in a project with quotas is answered with 500 by Incus 6.0. A client that is not let in may be
 * once its certificate is renewed.
 */
const isForGood = (error: IncusError): boolean =>
  (error.status < 500 && !error.isStranger) || /has no "limits\./.test(error.message)
