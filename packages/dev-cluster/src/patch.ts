/** The three patches of the Kubernetes API. Sources: RFC 6902, RFC 7386, "Strategic Merge Patch" (API concepts). */
import jsonPatch, { type Operation } from 'fast-json-patch'
import { badRequest, ApiError } from './errors.ts'
import type { Json } from './object.ts'

/** Lists that a strategic merge patch merges by a key of their items, by field name. */
const mergeKeys: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  ephemeralContainers: 'name',
  env: 'name',
  volumes: 'name',
  volumeMounts: 'mountPath',
  volumeDevices: 'devicePath',
  ports: 'containerPort',
  conditions: 'type',
  addresses: 'type',
  hostAliases: 'ip',
  imagePullSecrets: 'name',
  ownerReferences: 'uid',
  podIPs: 'ip',
  hostIPs: 'ip',
  topologySpreadConstraints: 'topologyKey',
  secrets: 'name',
  taints: 'key'
}
const mergedSets = new Set(['finalizers'])

/** Applies a patch of the given content type; the result shares nothing that would be changed with the original. */
export function applyPatch(original: Json, patch: unknown, contentType: string): Json {
  const type = contentType.split(';')[0]!.trim()
  switch (type) {
    case 'application/merge-patch+json':
      return mergePatch(original, object(patch)) as Json
    case 'application/strategic-merge-patch+json':
    case 'application/apply-patch+yaml':
      return strategic(original, object(patch)) as Json
    case 'application/json-patch+json':
      return jsonPatched(original, patch)
    default:
      throw new ApiError(
        415,
        'UnsupportedMediaType',
        `the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json`
      )
  }
}

function object(patch: unknown): Json {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch))
    throw badRequest('the patch must be a JSON object')
  return patch as Json
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

export function mergePatch(original: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const result: Json = isObject(original) ? { ...original } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = mergePatch(result[key], value)
  }
  return result
}

function strategic(original: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const directive = patch.$patch
  if (directive === 'replace') return without(patch, '$patch')
  if (directive === 'delete') return undefined
  const result: Json = isObject(original) ? { ...original } : {}
  const retained = patch.$retainKeys
  if (Array.isArray(retained))
    for (const key of Object.keys(result)) if (!retained.includes(key)) delete result[key]
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$setElementOrder/') || key === '$retainKeys' || key === '$patch') continue
    if (key.startsWith('$deleteFromPrimitiveList/')) {
      const field = key.slice('$deleteFromPrimitiveList/'.length)
      const doomed = new Set(value as unknown[])
      if (Array.isArray(result[field])) result[field] = result[field].filter((item) => !doomed.has(item))
    } else if (value === null) delete result[key]
    else if (Array.isArray(value)) result[key] = strategicList(key, result[key], value)
    else {
      const merged = strategic(result[key], value)
      if (merged === undefined) delete result[key]
      else result[key] = merged
    }
  }
  return result
}

function strategicList(field: string, original: unknown, patch: readonly unknown[]): unknown[] {
  const old = Array.isArray(original) ? (original as unknown[]) : []
  if (mergedSets.has(field)) return [...new Set([...old, ...patch])]
  const key = mergeKey(field, [...old, ...patch])
  if (!key || !patch.every(isObject)) return [...patch]
  if (patch.some((item) => (item as Json).$patch === 'replace' && !(key in (item as Json))))
    return patch.filter((item) => !('$patch' in (item as Json)))
  const result = [...old]
  for (const item of patch as Json[]) {
    const index = result.findIndex((one) => isObject(one) && one[key] === item[key])
    if (item.$patch === 'delete') {
      if (index >= 0) result.splice(index, 1)
    } else if (index < 0) result.push(strategic({}, item))
    else result[index] = strategic(result[index], item)
  }
  return result
}

/** A service's ports merge by `port`, a container's by `containerPort`. */
const mergeKey = (field: string, items: readonly unknown[]): string | undefined =>
  field === 'ports' && !items.some((item) => isObject(item) && 'containerPort' in item)
    ? 'port'
    : mergeKeys[field]

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const without = (value: Json, key: string): Json => {
  const { [key]: _removed, ...rest } = value
  return rest
}
