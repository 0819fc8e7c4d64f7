/**
 * Server-side apply: what a manager stops to mention goes, what another manager set to something else is a conflict.
 * Only managers that apply own fields here; plain writes own none. Source: KEP-555, "Server-Side Apply".
 */
import { ApiError, badRequest } from './errors.ts'
import { at, now, type Json, type KubeObject } from './object.ts'
import { shapeOf, type Field, type Shape } from './schema/shape.ts'

interface Managed {
  manager: string
  operation: string
  fieldsV1: Json
  [field: string]: unknown
}

export interface Application {
  readonly manager: string
  readonly force: boolean
  readonly body: Json
}

/** The object that results when `manager` applies `body` to it. */
export function applied(shape: Shape, live: Json, { manager, force, body }: Application): Json {
  if (!manager) throw badRequest('fieldManager: is required for an apply patch')
  const entries = at<Managed[]>(live, 'metadata', 'managedFields') ?? []
  const own = entries.find((entry) => entry.manager === manager && entry.operation === 'Apply')
  const others = entries.filter((entry) => entry !== own)
  const set = fieldSet(shape, intent(body))
  const disputed = others.flatMap((other) =>
    conflicts(shape, set, other.fieldsV1, body, live, '').map((field) => ({ field, by: other.manager }))
  )
  if (disputed.length > 0 && !force) throw conflict(disputed)
  const kept = own ? without(shape, live, own.fieldsV1, set, others) : live
  const merged = merge(shape, kept, body)
  const entry: Managed = {
    manager,
    operation: 'Apply',
    apiVersion: body.apiVersion,
    time: now(),
    fieldsType: 'FieldsV1',
    fieldsV1: set
  }
  const losers = force ? others.map((other) => ({ ...other, fieldsV1: minus(other.fieldsV1, set) })) : others
  return {
    ...merged,
    metadata: {
      ...(merged.metadata as KubeObject['metadata']),
      managedFields: [...losers.filter((other) => Object.keys(other.fieldsV1).length > 0), entry]
    }
  }
}

/** What of an object its manager means to own: not its identity. */
function intent({ apiVersion: _version, kind: _kind, status: _status, ...content }: Json): Json {
  const { labels, annotations, finalizers, ownerReferences } = (content.metadata ?? {}) as Json
  const metadata = Object.fromEntries(
    Object.entries({ labels, annotations, finalizers, ownerReferences }).filter(([, value]) => value)
  )
  return { ...content, ...(Object.keys(metadata).length > 0 ? { metadata } : { metadata: {} }) }
}

function fieldSet(shape: Shape, object: Json): Json {
  const set: Json = {}
  for (const [key, value] of Object.entries(object)) {
    const field = shape.fields.get(key)
    const inner = field && field.type !== 'j' ? setOf(field, value) : {}
    if (key !== 'metadata' || Object.keys(inner).length > 0) set[`f:${key}`] = inner
  }
  return set
}

function setOf(field: Field, value: unknown): Json {
  const shape = shapeOf(field.type)
  if (field.many === 'map')
    return Object.fromEntries(Object.keys(value as Json).map((key) => [`f:${key}`, {}]))
  if (field.many === 'list') {
    const items = value as unknown[]
    if (field.mergeKey === '')
      return Object.fromEntries(items.map((item) => [`v:${JSON.stringify(item)}`, {}]))
    if (!shape || field.listKeys.length === 0) return {}
    return Object.fromEntries(
      (items as Json[]).map((item) => [idOf(field, item), { '.': {}, ...fieldSet(shape, item) }])
    )
  }
  return shape ? fieldSet(shape, value as Json) : {}
}

const idOf = (field: Field, item: Json): string =>
  `k:${JSON.stringify(
    Object.fromEntries(
      field.listKeys.map((key) => [key, item[key] ?? (key === 'protocol' ? 'TCP' : undefined)])
    )
  )}`

function merge(shape: Shape, live: Json, body: Json): Json {
  const result = { ...live }
  for (const [key, value] of Object.entries(body)) {
    const field = shape.fields.get(key)
    result[key] = field ? mergeValue(field, live[key], value) : value
  }
  return result
}

function mergeValue(field: Field, live: unknown, value: unknown): unknown {
  const shape = shapeOf(field.type)
  if (live === undefined) return value
  if (field.many === 'map') return { ...(live as Json), ...(value as Json) }
  if (field.many === 'list') {
    const items = live as unknown[]
    if (field.mergeKey === '') return [...new Set([...items, ...(value as unknown[])])]
    if (!shape || field.listKeys.length === 0) return value
    const result = [...(items as Json[])]
    for (const item of value as Json[]) {
      const index = result.findIndex((one) => idOf(field, one) === idOf(field, item))
      if (index < 0) result.push(item)
      else result[index] = merge(shape, result[index]!, item)
    }
    return result
  }
  return shape ? merge(shape, live as Json, value as Json) : value
}

/** The live object less what the manager owned, no longer mentions, and nobody else owns. */
function without(shape: Shape, live: Json, before: Json, after: Json, others: readonly Managed[]): Json {
  return prune(
    shape,
    live,
    before,
    after,
    others.map((other) => other.fieldsV1)
  ) as Json
}

function prune(shape: Shape, live: Json, before: Json, after: Json, others: readonly Json[]): Json {
  const result = { ...live }
  for (const [path, inner] of Object.entries(before)) {
    const key = path.slice(2)
    const field = shape.fields.get(key)
    const theirs = others.map((set) => set[path] as Json | undefined).filter((set) => set !== undefined)
    if (!path.startsWith('f:') || result[key] === undefined) continue
    if (!(path in after) && theirs.length === 0) delete result[key]
    else if (field && Object.keys(inner as Json).length > 0)
      result[key] = pruneValue(field, result[key], inner as Json, (after[path] ?? {}) as Json, theirs)
  }
  return result
}

function pruneValue(
  field: Field,
  live: unknown,
  before: Json,
  after: Json,
  others: readonly Json[]
): unknown {
  const shape = shapeOf(field.type)
  const gone = (id: string) => id in before && !(id in after) && !others.some((set) => id in set)
  if (field.many === 'map')
    return Object.fromEntries(Object.entries(live as Json).filter(([key]) => !gone(`f:${key}`)))
  if (field.many !== 'list') return shape ? prune(shape, live as Json, before, after, others) : live
  if (field.mergeKey === '') return (live as unknown[]).filter((item) => !gone(`v:${JSON.stringify(item)}`))
  return (live as Json[])
    .filter((item) => !gone(idOf(field, item)))
    .map((item) => {
      const id = idOf(field, item)
      if (!shape || !(id in before)) return item
      const theirs = others.map((set) => set[id] as Json | undefined).filter((set) => set !== undefined)
      return prune(shape, item, before[id] as Json, (after[id] ?? {}) as Json, theirs)
    })
}

/** Paths that both own, and whose value would change. */
function conflicts(shape: Shape, mine: Json, theirs: Json, body: Json, live: Json, path: string): string[] {
  return Object.entries(mine).flatMap(([id, inner]) => {
    const other = theirs[id] as Json | undefined
    const key = id.slice(2)
    const field = shape.fields.get(key)
    if (!other || !field || !id.startsWith('f:')) return []
    const here = `${path}.${key}`
    const [wanted, found] = [body[key], live[key]]
    const nested = shapeOf(field.type)
    if (field.many === 'list' && nested && Object.keys(inner as Json).length > 0)
      return (wanted as Json[]).flatMap((item) => {
        const name = idOf(field, item)
        const now = ((found as Json[] | undefined) ?? []).find((one) => idOf(field, one) === name)
        const both = (inner as Json)[name] && other[name]
        return both && now
          ? conflicts(
              nested,
              (inner as Json)[name] as Json,
              other[name] as Json,
              item,
              now,
              `${here}[${name}]`
            )
          : []
      })
    if (field.many === 'map')
      return Object.keys(inner as Json)
        .filter((one) => one in other && (wanted as Json)[one.slice(2)] !== (found as Json)?.[one.slice(2)])
        .map((one) => `${here}.${one.slice(2)}`)
    if (!field.many && nested)
      return conflicts(nested, inner as Json, other, wanted as Json, (found ?? {}) as Json, here)
    return JSON.stringify(wanted) === JSON.stringify(found) ? [] : [here]
  })
}

const minus = (set: Json, taken: Json): Json =>
  Object.fromEntries(
    Object.entries(set).flatMap(([key, inner]): [string, unknown][] => {
      if (!(key in taken)) return [[key, inner]]
      const left = minus(inner as Json, taken[key] as Json)
      return Object.keys(left).some((one) => one !== '.') ? [[key, left]] : []
    })
  )

const conflict = (disputed: readonly { field: string; by: string }[]) =>
  new ApiError(
    409,
    'Conflict',
    `Apply failed with ${disputed.length} conflict${disputed.length > 1 ? 's' : ''}: ${disputed.map(({ field, by }) => `conflict with "${by}": ${field}`).join(', ')}`,
    {
      causes: disputed.map(({ field, by }) => ({
        reason: 'FieldManagerConflict',
        message: `conflict with "${by}"`,
        field
      }))
    }
  )
