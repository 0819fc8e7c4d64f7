/** The three patches of the Kubernetes API. Sources: RFC 6902, RFC 7386, "Strategic Merge Patch" (API concepts). */
import jsonPatch, { type Operation } from 'fast-json-patch'
import { badRequest, ApiError } from './errors.ts'
import type { Json } from './object.ts'
import { shapeOf, type Field, type Shape } from './schema/shape.ts'

/** Applies a patch of the given content type; the result shares nothing that would be changed with the original. */
export function applyPatch(shape: Shape, original: Json, patch: unknown, contentType: string): Json {
  switch (contentType.split(';')[0]!.trim()) {
    case 'application/merge-patch+json':
      return mergePatch(original, object(patch)) as Json
    case 'application/strategic-merge-patch+json':
      return strategic(shape, original, object(patch)) as Json
    case 'application/json-patch+json':
      return jsonPatched(original, patch)
    default:
      throw new ApiError(
        415,
        'UnsupportedMediaType',
        `the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml, application/strategic-merge-patch+json`
      )
  }
}

function object(patch: unknown): Json {
  if (!isObject(patch)) throw badRequest('the patch must be a JSON object')
  return patch
}

function jsonPatched(original: Json, patch: unknown): Json {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch must be an array of operations')
  try {
    return jsonPatch.applyPatch(structuredClone(original), patch as Operation[], true).newDocument
  } catch (error) {
    throw new ApiError(
      422,
      'Invalid',
      `the server rejected our request due to an error in our request: ${(error as Error).message.split('\n')[0]}`
    )
  }
}

function mergePatch(original: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const result: Json = isObject(original) ? { ...original } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = mergePatch(result[key], value)
  }
  return result
}

function strategic(shape: Shape | undefined, original: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const { $patch: directive, ...content } = patch
  if (directive === 'replace') return content
  if (directive === 'delete') return undefined
  const result: Json = isObject(original) ? { ...original } : {}
  const retained = patch.$retainKeys
  if (Array.isArray(retained))
    for (const key of Object.keys(result)) if (!retained.includes(key)) delete result[key]
  for (const [key, value] of Object.entries(content)) {
    if (key === '$retainKeys' || key.startsWith('$setElementOrder/')) continue
    if (key.startsWith('$deleteFromPrimitiveList/')) {
      const field = key.slice('$deleteFromPrimitiveList/'.length)
      const doomed = new Set(value as unknown[])
      if (Array.isArray(result[field])) result[field] = result[field].filter((item) => !doomed.has(item))
      continue
    }
    const field = shape?.fields.get(key)
    const merged =
      value === null
        ? undefined
        : Array.isArray(value)
          ? strategicList(field, result[key], value)
          : strategic(field?.many ? undefined : shapeOf(field?.type ?? ''), result[key], value)
    if (merged === undefined) delete result[key]
    else result[key] = merged
  }
  for (const [key, order] of Object.entries(content))
    if (key.startsWith('$setElementOrder/') && Array.isArray(order)) {
      const name = key.slice('$setElementOrder/'.length)
      if (Array.isArray(result[name]))
        result[name] = ordered(result[name], order, shape?.fields.get(name)?.mergeKey)
    }
  return result
}

function strategicList(field: Field | undefined, original: unknown, patch: readonly unknown[]): unknown[] {
  const old = Array.isArray(original) ? (original as unknown[]) : []
  const key = field?.mergeKey
  if (key === '') return [...new Set([...old, ...patch])]
  if (!key || !patch.every(isObject)) return [...patch]
  if (patch.some((item) => item.$patch === 'replace' && !(key in item)))
    return patch.filter((item) => !('$patch' in item))
  const shape = shapeOf(field.type)
  const result = [...old]
  for (const item of patch) {
    if (item[key] === undefined) throw badRequest(`the patch of ${field.name} has an item without "${key}"`)
    const index = result.findIndex((one) => isObject(one) && one[key] === item[key])
    if (item.$patch === 'delete') {
      if (index >= 0) result.splice(index, 1)
    } else if (index < 0) result.push(strategic(shape, {}, item))
    else result[index] = strategic(shape, result[index], item)
  }
  return result
}

/** The items that `order` names, in its order; each other item stays behind the one it followed. */
function ordered(items: readonly unknown[], order: readonly unknown[], key: string | undefined): unknown[] {
  const id = (item: unknown) => (key && isObject(item) ? item[key] : item)
  const places = new Map(order.map((item, index) => [id(item), index]))
  let place = -1
  return items
    .map((item) => ({ item, place: (place = places.get(id(item)) ?? place) }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item)
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
