import { unroutable } from '../errors.ts'
import { resourceAt, type Resource } from '../resources.ts'

/** What a path of the API names. */
export interface Target {
  readonly resource: Resource
  /** Absent: cluster-scoped, or all namespaces. */
  readonly namespace?: string
  readonly name?: string
  readonly subresource?: string
  /** What follows the subresource, as in nodes/NAME/proxy/pods. */
  readonly rest: string
}

/** Reads `namespaces/NS/pods/NAME/log` and its kin. */
export function targetOf(groupVersion: string, path: string): Target {
  const parts = path.split('/').filter(Boolean).map(decodeURIComponent)
  const inner =
    parts[0] === 'namespaces' && parts[2] !== undefined ? resourceAt(groupVersion, parts[2]) : undefined
  const [namespace, start] = inner ? [parts[1], 2] : [undefined, 0]
  const resource = inner ?? resourceAt(groupVersion, parts[0] ?? '')
  if (!resource) throw unroutable()
  const [, name, subresource, ...rest] = parts.slice(start)
  if (subresource && !resource.subresources.includes(subresource)) throw unroutable()
  return {
    resource,
    ...(namespace ? { namespace } : {}),
    ...(name ? { name } : {}),
    ...(subresource ? { subresource } : {}),
    rest: rest.join('/')
  }
}
