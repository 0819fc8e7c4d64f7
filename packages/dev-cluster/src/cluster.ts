import { randomUUID } from 'node:crypto'
import { admitted, readmitted } from './admission.ts'
import { alreadyExists, badRequest, conflict, invalid, refused } from './errors.ts'
import { at, nameSuffix, now, type Json, type KubeObject, type Metadata } from './object.ts'
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
/** Kinds whose generation counts the changes of what is asked of them. */
const generational = new Set(['Pod', 'Job', 'Deployment', 'ReplicaSet', 'DaemonSet', 'PriorityClass'])

/** The verbs of the API over the store: metadata, defaults, validation, finalizers, graceful deletion. */
export class Cluster {
  readonly store = new Store()

  create(resource: Resource, namespace: string | undefined, body: Json, dryRun = false): KubeObject {
    const asked = at<Partial<Metadata>>(body, 'metadata') ?? {}
    const name = asked.name || (asked.generateName ? asked.generateName + nameSuffix() : '')
    if (resource.namespaced) this.#home(resource, namespace!, name, asked.namespace)
    const {
      namespace: _asked,
      deletionTimestamp: _doomed,
      deletionGracePeriodSeconds: _grace,
      selfLink: _link,
      ...kept
    } = asked
    const { status, metadata: _metadata, apiVersion: _version, kind: _kind, ...rest } = body
    const takesStatus = resource.kind === 'Node' || !resource.subresources.includes('status')
    const object = admitted(
      this.store,
      resource,
      applyDefaults(resource, {
        apiVersion: groupVersion(resource),
        kind: resource.kind,
        metadata: {
          ...kept,
          name,
          ...(resource.namespaced ? { namespace } : {}),
          uid: randomUUID(),
          resourceVersion: '',
          ...(generational.has(resource.kind) ? { generation: 1 } : {}),
          creationTimestamp: now()
        },
        ...rest,
        ...(takesStatus && status !== undefined ? { status } : {})
      })
    )
    this.#check(resource, object, undefined)
    if (!dryRun) return this.store.add(resource, object)
    if (this.store.find(resource, namespace, name)) throw alreadyExists(resource, name)
    return object
  }

  #home(resource: Resource, namespace: string, name: string, asked: string | undefined): void {
    if (asked && asked !== namespace)
      throw badRequest(
        `the namespace of the provided object does not match the namespace sent on the request (${asked}, ${namespace})`
      )
    const home = this.store.get(namespaces, undefined, namespace)
    if (home.metadata.deletionTimestamp)
      throw refused(
        resource,
        name,
        `unable to create new content in namespace ${namespace} because it is being terminated`,
        [
          {
            reason: 'NamespaceTerminating',
            message: `namespace ${namespace} is being terminated`,
            field: 'metadata.namespace'
          }
        ]
      )
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
    if (!onStatus && kept.generation && JSON.stringify(content.spec) !== JSON.stringify(current.spec))
      metadata.generation = kept.generation + 1
    const next = { ...content, apiVersion: current.apiVersion!, kind: current.kind!, metadata }
    const object = onStatus ? next : readmitted(resource, next)
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
    const grace = this.#grace(resource, object, options)
    if (grace === 0 && finalizers.length === 0 && !ownFinalizers(object)) {
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
              ...(metadata.generation && !metadata.deletionTimestamp
                ? { generation: metadata.generation + 1 }
                : {}),
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
    if (phase === 'Succeeded' || phase === 'Failed') return 0
    const grace =
      options.gracePeriodSeconds ?? at<number>(object, 'spec', 'terminationGracePeriodSeconds') ?? 30
    return grace < 0 ? 1 : grace
  }

  /** An object marked for deletion goes when its last finalizer does; a pod also waits for its node. */
  #reap(resource: Resource, object: KubeObject): KubeObject {
    const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = object.metadata
    if (
      deletionTimestamp &&
      finalizers.length === 0 &&
      deletionGracePeriodSeconds === 0 &&
      !ownFinalizers(object)
    )
      this.store.remove(resource, object)
    return object
  }

  #check(resource: Resource, object: KubeObject, before: KubeObject | undefined, subresource?: string): void {
    const causes = validate(resource, object, before, subresource)
    if (causes.length > 0) throw invalid(resource, object.metadata.name, causes)
  }

  /** Changes an object as it is now, for the cluster's own parts; an object that is gone stays gone. */
  change(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    edit: (object: KubeObject) => KubeObject | undefined
  ): void {
    const object = this.store.find(resource, namespace, name)
    const edited = object && edit(object)
    if (!edited) return
    const { generation } = object.metadata
    const respecified = generation && JSON.stringify(edited.spec) !== JSON.stringify(object.spec)
    const next = respecified
      ? { ...edited, metadata: { ...edited.metadata, generation: generation + 1 } }
      : edited
    this.#reap(resource, this.store.put(resource, next))
  }
}

/** A namespace stays until its content is gone. */
const ownFinalizers = (object: KubeObject): boolean =>
  object.kind === 'Namespace' && (at<string[]>(object, 'spec', 'finalizers') ?? []).length > 0
