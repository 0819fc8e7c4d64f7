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
  /** Called with every owner of an object that has changed, appeared or gone. */
  readonly onChange: (owner: string) => void
  /** How long an object is still watched after its last owner has left. @default 30000 */
  readonly lingerMs?: number
}

export interface ObjectCache<T> {
  /** The newest object, once it has been listed; undefined when there is none. Owners are told of changes. */
  get(owner: string, namespace: string, name: string): Promise<T | undefined>
  /** The owner needs nothing more. */
  release(owner: string): void
  readonly watched: number
  stop(): Promise<void>
}

interface Slot<T> {
  readonly reflector: Reflector<T>
  readonly owners: Set<string>
  cancelEnd: () => void
}

export function createObjectCache<T extends KubeObject>(options: ObjectCacheOptions): ObjectCache<T> {
  const { client, resource, log, clock = systemClock, lingerMs = 30_000 } = options
  const slots = new Map<string, Slot<T>>()
  const owned = new Map<string, Set<string>>()

  function open(key: string, namespace: string, name: string): Slot<T> {
    const owners = new Set<string>()
    const reflector = createReflector<T>({
      client,
      path: `/api/v1/namespaces/${namespace}/${resource}`,
      query: { fieldSelector: `metadata.name=${name}` },
      log,
      clock,
      onChange: () => {
        for (const owner of owners) options.onChange(owner)
      }
    })
    const slot = { reflector, owners, cancelEnd: () => {} }
    slots.set(key, slot)
    reflector.start()
    return slot
  }

  return {
    async get(owner, namespace, name) {
      const key = `${namespace}/${name}`
      const slot = slots.get(key) ?? open(key, namespace, name)
      slot.cancelEnd()
      slot.owners.add(owner)
      owned.set(owner, (owned.get(owner) ?? new Set()).add(key))
      await slot.reflector.synced
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
