/** GET of an object or a list; as JSON or as a Table. */
import { gone, timeout } from '../errors.ts'
import type { KubeObject } from '../object.ts'
import { groupVersion, type Resource } from '../resources.ts'
import { both, fieldSelector, labelSelector, type Predicate } from '../selectors.ts'
import { table } from '../tables.ts'
import { isTrue, type ApiContext, type Call, type Query } from './context.ts'
import { shown } from './event-forms.ts'
import { revisionOf, watch } from './watch.ts'

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
export const asTable = ({ request }: Call): boolean =>
  (request.headers.accept ?? '').split(',')[0]!.includes('as=Table')

function list(context: ApiContext, call: Call): unknown {
  const { resource, namespace } = call.target
  const { store } = context.cluster
  const asked = revisionOf(call.query.resourceVersion)
  if (asked > store.revision)
    throw timeout(`Too large resource version: ${asked}, current: ${store.revision}`)
  if (call.query.resourceVersionMatch === 'Exact' && asked < store.revision)
    throw gone('The provided resource version is no longer kept: only the newest one is.')
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
  const last = from === undefined ? '' : Buffer.from(from, 'base64url').toString()
  const start = last ? objects.findIndex((object) => key(object) > last) : 0
  const rest = start < 0 ? [] : objects.slice(start)
  const size = Number(limit ?? 0)
  if (!(size > 0) || rest.length <= size) return { page: rest, next: {} }
  return {
    page: rest.slice(0, size),
    next: {
      continue: Buffer.from(key(rest[size - 1]!)).toString('base64url'),
      remainingItemCount: rest.length - size
    }
  }
}

export const selector = (resource: Resource, query: Query): Predicate | undefined =>
  both(labelSelector(query.labelSelector), fieldSelector(resource, query.fieldSelector))
