/**
 * ConfigMaps and Secrets by name: each is listed and watched alone, while somebody refers to it, and a little longer.
 * Neither memory nor rights grow with what else the cluster holds.
 */
import { systemClock, type Clock } from './clock.ts'
import type { Log } from './log.ts'
import { createReflector, type KubeObject, type Reflector } from './reflector.ts'
import type { KubeClient } from './types.ts'

export interface ObjectCacheOptions {
  readonly client: KubeClient
  /** `configmaps` or `secrets`. */
  readonly resource: string
  readonly log: Log
  readonly clock?: Clock
  /** How long an object is still watched after its last owner has left. @default 30000 */
  readonly lingerMs?: number
}

/** Whoever refers to an object; told when one of its objects has changed, appeared or gone. */
export interface Owner {
  readonly onObjectChange: () => void
}

export interface ObjectCache<T> {
  /**
   * The newest object, once it has been listed; undefined when there is none. Owners are told of changes.
   * Throws what the API server said when it cannot be listed; ask again then.
   */
  get(owner: Owner, namespace: string, name: string): Promise<T | undefined>
  /** The owner needs nothing more. */
  release(owner: Owner): void
  readonly watched: number
  stop(): Promise<void>
}

interface Slot<T> {
  readonly reflector: Reflector<T>
  readonly owners: Set<Owner>
  /** Rejects when the object cannot be listed. */
  readonly failed: Promise<never>
  cancelEnd: () => void
}

export function createObjectCache<T extends KubeObject>(options: ObjectCacheOptions): ObjectCache<T> {
  const { client, resource, log, clock = systemClock, lingerMs = 30_000 } = options
  const slots = new Map<string, Slot<T>>()
  const owned = new Map<Owner, Set<string>>()

  function open(key: string, namespace: string, name: string): Slot<T> {
    const owners = new Set<Owner>()
    let fail = (_: unknown) => {}
    const failed = new Promise<never>((_, reject) => (fail = reject))
    failed.catch(() => {})
    const reflector = createReflector<T>({
      client,
      path: `/api/v1/namespaces/${namespace}/${resource}`,
      query: { fieldSelector: `metadata.name=${name}` },
      log,
      clock,
      onChange: () => {
        for (const owner of owners) owner.onObjectChange()
      },
      onFailure: (error) => {
        if (!listed) fail(error)
      }
    })
    let listed = false
    void reflector.synced.then(() => (listed = true))
    const slot = { reflector, owners, failed, cancelEnd: () => {} }
    slots.set(key, slot)
    reflector.start()
    failed.catch(() => {
      slots.delete(key)
      void reflector.stop()
    })
    return slot
  }

  return {
    async get(owner, namespace, name) {
      const key = `${namespace}/${name}`
      const slot = slots.get(key) ?? open(key, namespace, name)
      slot.cancelEnd()
      slot.owners.add(owner)
      owned.set(owner, (owned.get(owner) ?? new Set()).add(key))
      await Promise.race([slot.reflector.synced, slot.failed])
      return slot.reflector.values().next().value
    },
    release(owner) {
      for (const key of owned.get(owner) ?? []) {
        const slot = slots.get(key)
        if (!slot?.owners.delete(owner) || slot.owners.size > 0) continue
        slot.cancelEnd = clock.schedule(lingerMs, () => {
          slots.delete(key)
          void slot.reflector.stop()
        })
      }
      owned.delete(owner)
    },
    get watched() {
      return slots.size
    },
    async stop() {
      await Promise.all([...slots.values()].map((slot) => (slot.cancelEnd(), slot.reflector.stop())))
      slots.clear()
      owned.clear()
    }
  }
}
