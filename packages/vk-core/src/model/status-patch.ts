/** The smallest patch that makes the API's status of a pod what it should be; conditions of others stay. */
import type { PodCondition, PodStatusObject } from '@interlink-ts/interlink-api/wire'

/** The patch of `status` (strategic merge), or undefined when the API has it all. */
export function statusPatch(
  known: PodStatusObject | undefined,
  wanted: PodStatusObject
): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {}
  const before = (known ?? {}) as Record<string, unknown>
  for (const [key, value] of Object.entries(wanted)) {
    if (key === 'conditions') {
      const changed = changedConditions(known?.conditions, wanted.conditions ?? [])
      if (changed.length > 0) patch[key] = changed
    } else if (!same(before[key], value)) {
      patch[key] = value === undefined ? null : replaceAddresses(key, before[key], value)
    }
  }
  return Object.keys(patch).length > 0 ? patch : undefined
}

/** What the API has after the patch; the server's own answer need not be read for it. */
export function withPatch(known: PodStatusObject | undefined, wanted: PodStatusObject): PodStatusObject {
  const own = new Set(wanted.conditions?.map((one) => one.type))
  const others = known?.conditions?.filter((one) => !own.has(one.type)) ?? []
  return { ...known, ...wanted, conditions: [...others, ...(wanted.conditions ?? [])] }
}

function changedConditions(known: readonly PodCondition[] = [], wanted: readonly PodCondition[]) {
  return wanted.flatMap((condition) => {
    const old = known.find((one) => one.type === condition.type)
    if (old && same(old, { lastProbeTime: old.lastProbeTime, ...condition })) return []
    // A strategic merge keeps the keys that are not named: what no longer holds must be taken out.
    const cleared = { ...(old?.reason && { reason: null }), ...(old?.message && { message: null }) }
    return [{ ...cleared, ...condition }]
  })
}

/** podIPs and hostIPs are merged by address: an old one would stay. */
function replaceAddresses(key: string, before: unknown, value: unknown) {
  const replaced = (key === 'podIPs' || key === 'hostIPs') && Array.isArray(before) && before.length > 0
  return replaced ? [{ $patch: 'replace' }, ...(value as unknown[])] : value
}

/** Equal as the API server would store it: null, absent, and an empty object or list are one. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (isEmpty(a) || isEmpty(b)) return isEmpty(a) && isEmpty(b)
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const left = a as Record<string, unknown>
  const right = b as Record<string, unknown>
  const keys = new Set([...Object.keys(left), ...Object.keys(right)])
  for (const key of keys) if (!same(left[key], right[key])) return false
  return true
}

const isEmpty = (value: unknown) =>
  value === null || value === undefined || (typeof value === 'object' && Object.keys(value).length === 0)
