/** A watch: changes as lines of JSON, from a revision on, with bookmarks. */
import type { FastifyReply } from 'fastify'
import { ApiError, gone, invalidOption, statusBody } from '../errors.ts'
import type { Json, KubeObject } from '../object.ts'
import { groupVersion } from '../resources.ts'
import type { Predicate } from '../selectors.ts'
import type { Change } from '../store.ts'
import { table } from '../tables.ts'
import { isTrue, type ApiContext, type Call } from './context.ts'
import { shown } from './event-forms.ts'
import { asTable, selector } from './read.ts'

const bookmarkEveryMs = 10_000
const longestSeconds = 1800

/** One text for all who watch the same object in the same form. */
const texts = new WeakMap<KubeObject, Map<string, string>>()

export function watch(context: ApiContext, call: Call): FastifyReply {
  const { resource, namespace } = call.target
  const { query, reply } = call
  const { store } = context.cluster
  const start = startOf(call)
  const wanted = selector(resource, query)
  const asRows = asTable(call)
  const form = asRows ? undefined : groupVersion(resource)
  const { raw } = reply.hijack()
  raw.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' })
  // a watch of nothing new must look open to its client at once
  raw.flushHeaders()
  const send = (type: string, object: string) => void raw.write(`{"type":"${type}","object":${object}}\n`)
  const tell = (type: string, object: KubeObject) => {
    if (form === undefined) return send(type, JSON.stringify(rowOf(call, object)))
    const ready = texts.get(object) ?? new Map<string, string>()
    const text = ready.get(form) ?? JSON.stringify(shown(resource, object))
    texts.set(object, ready.set(form, text))
    send(type, text)
  }
  const bookmark = (annotations?: Json) =>
    send(
      'BOOKMARK',
      JSON.stringify({
        kind: resource.kind,
        apiVersion: groupVersion(resource),
        metadata: { resourceVersion: String(store.revision), ...(annotations ? { annotations } : {}) }
      })
    )

  let stop = () => {}
  try {
    if (start.revision > store.revision)
      throw gone(`too large resource version: ${start.revision}, current: ${store.revision}`)
    if (start.initial)
      for (const object of store.list(resource, namespace))
        if (!wanted || wanted(object)) tell('ADDED', object)
    if (start.initial && start.marked) bookmark({ 'k8s.io/initial-events-end': 'true' })
    stop = store.watch(resource, start.revision || store.revision, follow(namespace, wanted, tell))
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    send('ERROR', JSON.stringify(statusBody(error)))
    raw.end()
    return reply
  }
  const seconds = Math.min(longestSeconds, Number(query.timeoutSeconds) || longestSeconds)
  const end = () => void raw.end()
  const timers = [
    setInterval(() => isTrue(query.allowWatchBookmarks) && bookmark(), bookmarkEveryMs),
    setTimeout(end, seconds * 1000)
  ]
  context.closing.addEventListener('abort', end)
  raw.once('close', () => {
    stop()
    timers.forEach(clearTimeout)
    context.closing.removeEventListener('abort', end)
  })
  return reply
}

interface Start {
  /** 0: from now. */
  readonly revision: number
  /** Whether what is there comes first, as ADDED. */
  readonly initial: boolean
  readonly marked: boolean
}

/** Source: API concepts, "Streaming lists" and "Semantics for watch". */
function startOf({ query }: Call): Start {
  const revision = revisionOf(query.resourceVersion)
  if (query.sendInitialEvents === undefined) return { revision, initial: revision === 0, marked: false }
  if (query.resourceVersionMatch !== 'NotOlderThan')
    throw invalidOption('resourceVersionMatch', 'sendInitialEvents requires "NotOlderThan"')
  const initial = isTrue(query.sendInitialEvents)
  return { revision: initial ? 0 : revision, initial, marked: isTrue(query.allowWatchBookmarks) }
}

/** The number of a resourceVersion; 0 where any will do. */
export function revisionOf(text: string | undefined): number {
  if (text && !/^\d+$/.test(text)) throw invalidOption('resourceVersion', `invalid value "${text}"`)
  return Number(text ?? 0)
}

/** Changes as this watcher sees them: an object that starts or ceases to match comes or goes. */
const follow =
  (
    namespace: string | undefined,
    wanted: Predicate | undefined,
    tell: (type: string, object: KubeObject) => void
  ) =>
  ({ type, object, previous }: Change): void => {
    if (namespace !== undefined && object.metadata.namespace !== namespace) return
    const is = type !== 'DELETED' && (!wanted || wanted(object))
    const was = previous !== undefined && (!wanted || wanted(previous))
    if (is) tell(was ? 'MODIFIED' : 'ADDED', object)
    else if (was) tell('DELETED', object)
  }

const rowOf = ({ target: { resource }, query }: Call, object: KubeObject): Json =>
  table(
    resource,
    [shown(resource, object)],
    { resourceVersion: object.metadata.resourceVersion },
    query.includeObject
  )
