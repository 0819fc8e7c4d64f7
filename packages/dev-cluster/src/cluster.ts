import { randomBytes, randomUUID } from 'node:crypto'
import { badRequest, conflict, invalid, notFound, type Cause } from './errors.ts'
import { at, now, type Json, type KubeObject, type Metadata } from './object.ts'
import { groupVersion, known, type Resource } from './resources.ts'
import { Store } from './store.ts'
import { applyDefaults } from './defaults.ts'
import { validate } from './validate.ts'

export interface DeleteOptions {
  gracePeriodSeconds?: number
  propagationPolicy?: string
  orphanDependents?: boolean
  preconditions?: { uid?: string; resourceVersion?: string }
  dryRun?: string[]
}

const namespaces = known('v1', 'Namespace')
const namePattern = /^[a-z0-9]([-a-z0-9.:]*[a-z0-9])?$/

/** The verbs of the API over the store: metadata, defaults, validation, finalizers, graceful deletion. */
export class Cluster {
  readonly store = new Store()

  create(resource: Resource, namespace: string | undefined, body: Json, dryRun = false): KubeObject {
    const metadata = { ...(at<Partial<Metadata>>(body, 'metadata') ?? {}) }
    if (resource.namespaced) {
      if (metadata.namespace && metadata.namespace !== namespace)
        throw badRequest(
          'the namespace of the provided object does not match the namespace sent on the request'
        )
      const home = this.store.get(namespaces, undefined, namespace!)
      if (home.metadata.deletionTimestamp)
        throw conflict(
          namespaces,
          namespace!,
          'the namespace is being terminated; no new content can be created in it'
        )
    }
    if (!metadata.name && metadata.generateName)
      metadata.name = metadata.generateName + randomBytes(4).toString('hex').slice(0, 5)
    const { namespace: _asked, ...rest } = metadata
    const object = applyDefaults(resource, {
      ...body,
      apiVersion: groupVersion(resource),
      kind: resource.kind,
      metadata: {
        ...rest,
        name: metadata.name ?? '',
        ...(resource.namespaced ? { namespace } : {}),
        uid: randomUUID(),
        resourceVersion: '',
        generation: 1,
        creationTimestamp: now()
      }
    })
    this.#check(resource, object, undefined)
    return dryRun ? object : this.store.add(resource, object)
  }

  /**
   * Puts `body` in the place of an object, as a write to the object itself or to one of its subresources:
   * a write to `status` changes only the status, a write to the object leaves the status.
   */
  update(
    resource: Resource,
    current: KubeObject,
    body: Json,
    subresource: string | undefined,
    dryRun = false
  ): KubeObject {
    const asked = at<Partial<Metadata>>(body, 'metadata') ?? {}
    if (asked.uid && asked.uid !== current.metadata.uid)
      throw conflict(
        resource,
        current.metadata.name,
        `Precondition failed: UID in precondition: ${asked.uid}, UID in object meta: ${current.metadata.uid}`
      )
    const hasStatus = resource.subresources.includes('status')
    const onStatus = subresource === 'status' || subresource === 'approval'
    const content: KubeObject = onStatus
      ? { ...current, ...('status' in body ? { status: body.status } : {}) }
      : ({ ...body, ...(hasStatus && 'status' in current ? { status: current.status } : {}) } as KubeObject)
    if (!onStatus && hasStatus && !('status' in current)) delete content.status
    const kept = current.metadata
    const metadata: Metadata = {
      ...(onStatus ? kept : { ...asked }),
      ...(onStatus && asked.annotations ? { annotations: asked.annotations } : {}),
      ...(onStatus && asked.labels ? { labels: asked.labels } : {}),
      name: kept.name,
      ...(kept.namespace === undefined ? {} : { namespace: kept.namespace }),
      uid: kept.uid,
      creationTimestamp: kept.creationTimestamp,
      resourceVersion: kept.resourceVersion,
      ...(kept.generation === undefined ? {} : { generation: kept.generation }),
      ...(kept.deletionTimestamp ? { deletionTimestamp: kept.deletionTimestamp } : {}),
      ...(kept.deletionGracePeriodSeconds === undefined
        ? {}
        : { deletionGracePeriodSeconds: kept.deletionGracePeriodSeconds })
    }
    if (!onStatus && JSON.stringify(content.spec) !== JSON.stringify(current.spec))
      metadata.generation = (kept.generation ?? 0) + 1
    const object = { ...content, apiVersion: current.apiVersion!, kind: current.kind!, metadata }
    if (!onStatus) this.#check(resource, object, current, subresource)
    if (dryRun) return object
    const stored = this.store.put(resource, object, asked.resourceVersion || undefined)
    return this.#reap(resource, stored)
  }

  /** Deletes, or marks for deletion where a node or a finalizer has a say; returns what the API answers with. */
  delete(
    resource: Resource,
    object: KubeObject,
    options: DeleteOptions = {}
  ): { object: KubeObject; gone: boolean } {
    const { metadata } = object
    const { uid, resourceVersion } = options.preconditions ?? {}
    if (uid && uid !== metadata.uid)
      throw conflict(
        resource,
        metadata.name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`
      )
    if (resourceVersion && resourceVersion !== metadata.resourceVersion)
      throw conflict(resource, metadata.name, 'Precondition failed: the resource version has changed')
    if (options.dryRun?.length) return { object, gone: true }

    const finalizers = [...(metadata.finalizers ?? [])]
    if (options.propagationPolicy === 'Foreground' && !finalizers.includes('foregroundDeletion'))
      finalizers.push('foregroundDeletion')
    if (
      (options.propagationPolicy === 'Orphan' || options.orphanDependents) &&
      !finalizers.includes('orphan')
    )
      finalizers.push('orphan')
    if (resource === namespaces && !finalizers.includes('kubernetes')) finalizers.push('kubernetes')

    const grace = this.#grace(resource, object, options)
    if (grace === 0 && finalizers.length === 0) {
      this.store.remove(resource, object)
      return { object, gone: true }
    }
    const shorter =
      metadata.deletionGracePeriodSeconds === undefined || grace < metadata.deletionGracePeriodSeconds
    const marked = this.store.put(resource, {
      ...object,
      metadata: {
        ...metadata,
        ...(finalizers.length > 0 ? { finalizers } : {}),
        ...(shorter
          ? {
              deletionGracePeriodSeconds: grace,
              deletionTimestamp: new Date(Date.now() + grace * 1000).toISOString().replace(/\.\d+Z$/, 'Z')
            }
          : {})
      },
      ...(resource === namespaces ? { status: { phase: 'Terminating' } } : {})
    })
    return { object: marked, gone: false }
  }

  /** A pod on a node is given its grace and waits for the node; everything else has none. */
  #grace(resource: Resource, object: KubeObject, options: DeleteOptions): number {
    if (resource.kind !== 'Pod' || !at(object, 'spec', 'nodeName')) return 0
    const phase = at<string>(object, 'status', 'phase')
    if (phase === 'Succeeded' || phase === 'Failed') return options.gracePeriodSeconds ?? 0
    return Math.max(
      0,
      options.gracePeriodSeconds ?? at<number>(object, 'spec', 'terminationGracePeriodSeconds') ?? 30
    )
  }

  /** An object marked for deletion goes when its last finalizer does; a pod also waits for its node. */
  #reap(resource: Resource, object: KubeObject): KubeObject {
    const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = object.metadata
    if (deletionTimestamp && finalizers.length === 0 && deletionGracePeriodSeconds === 0)
      this.store.remove(resource, object)
    return object
  }

  #check(resource: Resource, object: KubeObject, before: KubeObject | undefined, subresource?: string): void {
    const causes: Cause[] = []
    const { name } = object.metadata
    if (!name)
      causes.push({
        field: 'metadata.name',
        message: 'Required value: name or generateName is required',
        reason: 'FieldValueRequired'
      })
    else if (!namePattern.test(name) || name.length > 253)
      causes.push({
        field: 'metadata.name',
        message: `Invalid value: "${name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character`,
        reason: 'FieldValueInvalid'
      })
    causes.push(...validate(resource, object, before, subresource))
    if (causes.length > 0) throw invalid(resource, name, causes)
  }

  /** Gets, changes and stores, again and again while somebody else is quicker; undefined when the object is gone. */
  change(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    edit: (object: KubeObject) => KubeObject | undefined
  ): void {
    const object = this.store.find(resource, namespace, name)
    const edited = object && edit(object)
    if (edited) this.#reap(resource, this.store.put(resource, edited))
  }

  require(resource: Resource, namespace: string | undefined, name: string): KubeObject {
    const object = this.store.find(resource, namespace, name)
    if (!object) throw notFound(resource, name)
    return object
  }
}
