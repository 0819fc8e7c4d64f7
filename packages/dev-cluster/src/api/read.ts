/** GET of an object, a list, or a watch; as JSON or as a Table. */
import { Readable } from 'node:stream'
import { gone } from '../errors.ts'
import type { Json, KubeObject } from '../object.ts'
import { groupVersion, type Resource } from '../resources.ts'
import { both, fieldSelector, labelSelector, type Predicate } from '../selectors.ts'
import type { Change } from '../store.ts'
import { table } from '../tables.ts'
import { isTrue, type ApiContext, type Call, type Query } from './context.ts'
import { shown } from './event-forms.ts'

const bookmarkEveryMs = 10_000

export function read(context: ApiContext, call: Call): unknown {
  const { target, query } = call
  const { resource, namespace, name } = target
  const { store } = context.cluster
  if (name === undefined) return isTrue(query.watch) ? watch(context, call) : list(context, call)
  const object = shown(resource, store.get(resource, namespace, name))
  return asTable(call)
    ? table(resource, [object], { resourceVersion: object.metadata.resourceVersion }, query.includeObject)
    : object
}

/** Whether the caller prefers a Table, as kubectl get does. */
const asTable = ({ request }: Call): boolean =>
  (request.headers.accept ?? '').split(',')[0]!.includes('as=Table')

function list(context: ApiContext, call: Call): unknown {
  const { resource, namespace } = call.target
  const { store } = context.cluster
  const wanted = selector(resource, call.query)
  const all = store.list(resource, namespace).filter((object) => !wanted || wanted(object))
  const sorted = all.sort((a, b) => (key(a) < key(b) ? -1 : 1))
  const { page, next } = paged(sorted, call.query)
  const metadata = { resourceVersion: String(store.revision), ...next }
  const items = page.map((object) => shown(resource, object))
  return asTable(call)
    ? table(resource, items, metadata, call.query.includeObject)
    : { kind: `${resource.kind}List`, apiVersion: groupVersion(resource), metadata, items }
}

const key = ({ metadata }: KubeObject) => `${metadata.namespace ?? ''}/${metadata.name}`

function paged(objects: readonly KubeObject[], { limit, continue: from }: Query) {
  const start = from ? objects.findIndex((object) => key(object) > from) : 0
  const rest = start < 0 ? [] : objects.slice(start)
  const size = Number(limit ?? 0)
  if (size <= 0 || rest.length <= size) return { page: rest, next: {} }
  return {
    page: rest.slice(0, size),
    next: { continue: key(rest[size - 1]!), remainingItemCount: rest.length - size }
  }
}

export const selector = (resource: Resource, query: Query): Predicate | undefined =>
  both(labelSelector(query.labelSelector), fieldSelector(resource, query.fieldSelector))

function watch(context: ApiContext, call: Call): Readable {
  const { resource, namespace } = call.target
  const { query, reply } = call
  const { store } = context.cluster
  const wanted = selector(resource, query)
  const bookmarks = isTrue(query.allowWatchBookmarks)
  const matches = (object: KubeObject) =>
    (namespace === undefined || object.metadata.namespace === namespace) && (!wanted || wanted(object))
  const stream = new Readable({ read() {}, highWaterMark: 1 << 20 })
  const send = (type: string, object: Json) => void stream.push(`${JSON.stringify({ type, object })}\n`)
  const tell = (type: string, object: KubeObject) =>
    send(
      type,
      asTable(call)
        ? table(
            resource,
            [shown(resource, object)],
            { resourceVersion: object.metadata.resourceVersion },
            query.includeObject
          )
        : (shown(resource, object) as Json)
    )
  const bookmark = (initial?: Json) =>
    send('BOOKMARK', {
      kind: resource.kind,
      apiVersion: groupVersion(resource),
      metadata: { resourceVersion: String(store.revision), ...(initial ? { annotations: initial } : {}) }
    })
  const onChange = ({ type, object, previous }: Change) => {
    const is = type !== 'DELETED' && matches(object)
    const was = previous !== undefined && matches(previous)
    if (is) tell(was ? 'MODIFIED' : 'ADDED', object)
    else if (was) tell('DELETED', object)
  }

  const asked = Number(query.resourceVersion ?? 0)
  const initial = isTrue(query.sendInitialEvents) || asked === 0
  if (asked > store.revision) throw gone(`resource version ${asked} is in the future`)
  if (initial)
    for (const object of store.list(resource, namespace)) if (matches(object)) tell('ADDED', object)
  if (initial && bookmarks && isTrue(query.sendInitialEvents))
    bookmark({ 'k8s.io/initial-events-end': 'true' })
  const stop = store.watch(resource, initial ? store.revision : asked, onChange)
  const timers = [
    setInterval(() => bookmarks && bookmark(), bookmarkEveryMs),
    setTimeout(() => stream.push(null), Number(query.timeoutSeconds ?? 1800) * 1000)
  ]
  const end = () => stream.push(null)
  context.closing.addEventListener('abort', end)
  stream.once('close', () => {
    stop()
    timers.forEach(clearTimeout)
    context.closing.removeEventListener('abort', end)
  })
  reply.raw.once('close', () => stream.destroy())
  void reply.type('application/json')
  return stream
}
