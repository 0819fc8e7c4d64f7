import { isMarked, type Marked } from './instance.ts'
import { again, IncusError, type IncusConnection } from './rest/index.ts'
import { stopInstance } from './stop-instance.ts'
import type { BackendContext } from '../kit/backend.ts'

const busyPausesMs = [500, 2000, 5000, 10_000] as const

export interface Instance extends Marked {
  readonly name: string
  /** `container` or `virtual-machine`. */
  readonly type: string
  readonly status: string
}

/** The instances of one plugin on a server: by name, and whether they are its own. */
export class OwnInstances {
  readonly #incus: IncusConnection
  readonly #log: BackendContext['log']
  /** By name: a virtual machine takes a while to shut down. */
  readonly #removing = new Map<string, Promise<void>>()

  constructor(incus: IncusConnection, log: BackendContext['log']) {
    this.#incus = incus
    this.#log = log
  }

  /** The instance of this name, where it is this plugin's and that pod's. */
  async find(name: string, uid: string, mark: string): Promise<Instance | undefined> {
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
}
