import type { Cluster } from '../cluster.ts'
import type { KubeObject } from '../object.ts'
import type { Resource } from '../resources.ts'

export interface ControlContext {
  readonly cluster: Cluster
  readonly warn: (fields: object, message: string) => void
}

/**
 * A level-triggered loop: `reconcile` is called with the newest state of an object whenever it, or something it
 * owns, may have changed, and again after as many milliseconds as it asks for.
 */
export interface Controller {
  readonly resource: Resource
  /** Objects whose change is a change of their controller's. */
  readonly owns?: readonly Resource[]
  /** Kinds whose every change may concern all objects. */
  readonly wokenBy?: readonly Resource[]
  reconcile(object: KubeObject, context: ControlContext): number | void
}

/** Runs controllers until stopped. */
export function runControllers(controllers: readonly Controller[], context: ControlContext): () => void {
  const stops = controllers.map((controller) => run(controller, context))
  return () => stops.forEach((stop) => stop())
}

function run(
  { resource, owns = [], wokenBy = [], reconcile }: Controller,
  context: ControlContext
): () => void {
  const { store } = context.cluster
  const due = new Set<string>()
  const timers = new Map<string, NodeJS.Timeout>()
  let stopped = false
  let scheduled = false

  const work = () => {
    scheduled = false
    for (const id of [...due]) {
      due.delete(id)
      const [namespace, name] = id.split('/') as [string, string]
      const object = store.find(resource, namespace || undefined, name)
      if (!object || stopped) continue
      try {
        const again = reconcile(object, context)
        if (typeof again === 'number') later(id, again)
      } catch (error) {
        context.warn({ err: error, kind: resource.kind, name }, 'reconcile failed')
        later(id, 500)
      }
    }
  }
  const enqueue = (id: string) => {
    due.add(id)
    if (!scheduled) setImmediate(work)
    scheduled = true
  }
  const later = (id: string, ms: number) => {
    clearTimeout(timers.get(id))
    timers.set(
      id,
      setTimeout(() => enqueue(id), ms)
    )
  }
  const idOf = ({ metadata }: KubeObject) => `${metadata.namespace ?? ''}/${metadata.name}`
  const enqueueAll = () => store.list(resource).forEach((object) => enqueue(idOf(object)))
  const stops = [
    store.watch(resource, store.revision, ({ object }) => enqueue(idOf(object))),
    ...owns.map((owned) =>
      store.watch(owned, store.revision, ({ object }) => {
        for (const owner of object.metadata.ownerReferences ?? [])
          if (owner.kind === resource.kind) enqueue(`${object.metadata.namespace ?? ''}/${owner.name}`)
      })
    ),
    ...wokenBy.map((other) => store.watch(other, store.revision, enqueueAll))
  ]
  enqueueAll()
  return () => {
    stopped = true
    stops.forEach((stop) => stop())
    timers.forEach((timer) => clearTimeout(timer))
  }
}
