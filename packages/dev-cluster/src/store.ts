import { alreadyExists, conflict, gone, notFound } from './errors.ts'
import type { KubeObject } from './object.ts'
import type { Resource } from './resources.ts'

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: KubeObject
  /** What it was before; absent when added. */
  readonly previous?: KubeObject
  readonly revision: number
}

export type ChangeListener = (change: Change) => void

interface Kind {
  readonly objects: Map<string, KubeObject>
  readonly history: Change[]
  readonly listeners: Set<ChangeListener>
  /** Revision of the newest change that has left the history. */
  forgotten: number
}

const historyLength = 4096

/** Every object of the cluster, with one counter of revisions and a history that watches resume from. */
export class Store {
  readonly #kinds = new Map<string, Kind>()
  #revision = 1

  get revision(): number {
    return this.#revision
  }

  get(resource: Resource, namespace: string | undefined, name: string): KubeObject {
    const object = this.find(resource, namespace, name)
    if (!object) throw notFound(resource, name)
    return object
  }

  find(resource: Resource, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#kind(resource).objects.get(key(namespace, name))
  }

  list(resource: Resource, namespace?: string): KubeObject[] {
    const objects = [...this.#kind(resource).objects.values()]
    return namespace === undefined
      ? objects
      : objects.filter((object) => object.metadata.namespace === namespace)
  }

  add(resource: Resource, object: KubeObject): KubeObject {
    const { namespace, name } = object.metadata
    const kind = this.#kind(resource)
    if (kind.objects.has(key(namespace, name))) throw alreadyExists(resource, name)
    return this.#put(kind, 'ADDED', object, undefined)
  }

  /**
   * Replaces an object. With `expected`, fails with 409 when somebody else was quicker. A change of nothing is none:
   * no revision, no event.
   */
  put(resource: Resource, object: KubeObject, expected?: string): KubeObject {
    const { namespace, name } = object.metadata
    const kind = this.#kind(resource)
    const previous = kind.objects.get(key(namespace, name))
    if (!previous) throw notFound(resource, name)
    if (expected !== undefined && expected !== previous.metadata.resourceVersion)
      throw conflict(
        resource,
        name,
        'the object has been modified; please apply your changes to the latest version and try again'
      )
    const unchanged = {
      ...object,
      metadata: { ...object.metadata, resourceVersion: previous.metadata.resourceVersion }
    }
    if (JSON.stringify(unchanged) === JSON.stringify(previous)) return previous
    return this.#put(kind, 'MODIFIED', object, previous)
  }

  remove(resource: Resource, object: KubeObject): void {
    const kind = this.#kind(resource)
    const { namespace, name, uid } = object.metadata
    const previous = kind.objects.get(key(namespace, name))
    if (previous?.metadata.uid === uid) this.#put(kind, 'DELETED', previous, previous)
  }

  /** Changes after `revision`, then every later one. Fails with 410 when they are no longer known. */
  watch(resource: Resource, revision: number, listener: ChangeListener): () => void {
    const kind = this.#kind(resource)
    if (revision < kind.forgotten) throw gone(`too old resource version: ${revision} (${kind.forgotten})`)
    for (const change of kind.history) if (change.revision > revision) listener(change)
    kind.listeners.add(listener)
    return () => void kind.listeners.delete(listener)
  }

  #put(kind: Kind, type: Change['type'], object: KubeObject, previous: KubeObject | undefined): KubeObject {
    const revision = ++this.#revision
    const stored: KubeObject = {
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(revision) }
    }
    const id = key(stored.metadata.namespace, stored.metadata.name)
    if (type === 'DELETED') kind.objects.delete(id)
    else kind.objects.set(id, stored)
    const change: Change = { type, object: stored, revision, ...(previous ? { previous } : {}) }
    kind.history.push(change)
    if (kind.history.length > historyLength * 2) {
      kind.forgotten = kind.history[historyLength - 1]!.revision
      kind.history.splice(0, historyLength)
    }
    for (const listener of [...kind.listeners]) listener(change)
    return stored
  }

  #kind(resource: Resource): Kind {
    let kind = this.#kinds.get(resource.storage)
    if (!kind) {
      kind = { objects: new Map(), history: [], listeners: new Set(), forgotten: 0 }
      this.#kinds.set(resource.storage, kind)
    }
    return kind
  }
}

const key = (namespace: string | undefined, name: string) => `${namespace ?? ''}/${name}`
