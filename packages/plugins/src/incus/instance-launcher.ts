import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { PluginError } from '../errors.ts'
import type { Job } from '../kit/backend.ts'
import { packJob } from '../kit/jobs/pack-job.ts'
import { formOf } from './form-of.ts'
import { missingDevice } from './instance-devices.ts'
import { instanceName, instanceRequest, profilesOf } from './instance.ts'
import { writeIncusFiles } from './job-files.ts'
import type { JobMirror } from './job-mirror.ts'
import { needOci, ociImage, takeImage, wordsOfPull } from './oci-image.ts'
import type { IncusOptions } from './options.ts'
import type { OwnInstances } from './own-instances.ts'
import { disksOf } from './root-disk.ts'
import {
  IncusError,
  IncusUnreachable,
  isOver,
  Operation,
  succeeded,
  type IncusConnection
} from './rest/index.ts'

export type Starting = Pick<Job, 'uid' | 'dir' | 'plan'>

/** How far a launch is, for whoever may end it. */
export interface Steps {
  /** The instance is being made: its image is fetched, if need be, and unpacked. */
  onMaking(operation: Operation): void
  /** It is there. */
  onMade(): void
  isGivenUp(): boolean
}

/** In the words of Incus: the image is not to be had now, and may be later. */
export class ImageNotHad extends Error {}

const Operations = Type.Record(Type.String(), Type.Array(Operation))

/** The operation that makes the instance of this name at this moment, whoever has begun it. */
export async function makingOf(incus: IncusConnection, name: string): Promise<Operation | undefined> {
  const listed = await incus.get<unknown>('/1.0/operations', { recursion: 1 })
  if (!Value.Check(Operations, listed))
    throw new IncusUnreachable(`${incus.server} lists its operations in a way that is not known`)
  const isOf = (url: string) => new URL(url, 'http://incus').pathname.split('/').at(-1) === name
  return Object.values(listed)
    .flat()
    .find(
      (operation) =>
        !isOver(operation) &&
        operation.class === 'task' &&
        /^creating/i.test(operation.description ?? '') &&
        operation.resources?.instances?.some(isOf)
    )
}

/** Makes an instance and brings its job into it. */
export class InstanceLauncher {
  readonly #incus: IncusConnection
  readonly #options: IncusOptions
  readonly #mirror: JobMirror
  readonly #own: OwnInstances

  constructor(incus: IncusConnection, options: IncusOptions, mirror: JobMirror, own: OwnInstances) {
    this.#incus = incus
    this.#options = options
    this.#mirror = mirror
    this.#own = own
  }

  /**
   * Resolves when the instance runs and has its job, or when a virtual machine boots.
   * @param making what makes it already
   * @throws ImageNotHad
   * @throws PluginError `PLUGIN_BACKEND_REFUSED` for good; any other error where a later try may do. No instance is
   * left, but where it is given up while it is made.
   */
  async launch(job: Starting, mark: string, steps: Steps, making?: Operation): Promise<void> {
    const { uid, dir, plan } = job
    const disks = await disksOf(this.#incus, plan, profilesOf(plan, this.#options))
    const name = instanceName(uid)
    const form = formOf(plan)
    const { image } = plan.containers[0]!
    const isOci = ociImage(image, this.#options.remotes) !== undefined
    if (isOci) await needOci(this.#incus, image)
    // A machine gets its job when it has booted, as it is then; what an OCI image runs is known once there is an
    // instance of it.
    const isBrought = form.startedBy === 'init'
    const isPackedEarly = isBrought && !isOci
    // While the instance is made.
    const readied = writeIncusFiles(plan, dir, disks.root?.bytes).then(() =>
      isPackedEarly ? packJob(dir) : undefined
    )
    readied.catch(() => {})
    try {
      if (!making) needWanted(steps)
      const request = () => instanceRequest(plan, mark, this.#options, disks)
      const operation = making ?? (await this.#incus.begin('/1.0/instances', request()))
      steps.onMaking(operation)
      await this.#made(operation)
    } catch (error) {
      if (steps.isGivenUp()) throw error
      if (disks.root && isOfSize(error)) {
        const reason = `the image takes more than the ${disks.root.bytes} bytes of the pod's ephemeral-storage limits, which count it; raise them (${error.message})`
        throw new PluginError('PLUGIN_BACKEND_REFUSED', { backend: 'Incus', reason })
      }
      if (isOfImage(error)) throw new ImageNotHad(wordsOfPull(image, error.message, this.#options.remotes))
      // It may have been made all the same, or before; the next try makes one that has what is asked for now.
      const made = await this.#own.find(name, uid, mark)
      if (made) await this.#own.remove(made)
      throw refusal(error)
    }
    needWanted(steps)
    steps.onMade()
    try {
      if (isOci) await takeImage(this.#incus, name, { dir, image })
      const packed = await readied
      await this.#incus.change('PUT', `/1.0/instances/${name}/state`, { json: { action: 'start' } })
      if (isBrought) await this.#mirror.begin(name, dir, packed ?? (await packJob(dir)))
    } catch (error) {
      await this.#own.remove({ name, type: form.type }).catch((left: unknown) => {
        throw new Error(`instance ${name} did not start and is left (${(error as Error).message})`, {
          cause: left
        })
      })
      throw missingDevice(plan, error) ?? refusal(error)
    }
  }

  /** A server that was started anew knows nothing of its operations. */
  async #made(operation: Operation): Promise<void> {
    const ended = await this.#incus.finished(operation).catch((error: unknown) => {
      if (!(error instanceof IncusError)) throw error
      throw new IncusUnreachable(`${this.#incus.server} does not know any more how an instance was made`)
    })
    succeeded(ended)
  }
}

function needWanted(steps: Steps): void {
  if (steps.isGivenUp()) throw new Error('the instance is not wanted any more')
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
