/** Whether a caller may do what a call does. */
import type { Attributes } from '../access.ts'
import { forbidden } from '../errors.ts'
import { isTrue, type ApiContext, type Call } from './context.ts'
import type { Target } from './target.ts'

/** @throws ApiError Forbidden, in the words of RBAC */
export function assertAllowed({ access }: ApiContext, call: Pick<Call, 'user'>, asked: Attributes): void {
  if (!access.allowed(call.user, asked)) throw forbidden(refusal(call.user.username, asked))
}

const verbs: Readonly<Record<string, string>> = {
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete'
}

/** What a call does, in the words of RBAC. */
export function attributesOf({ target, request, query }: Call): Attributes {
  const { resource, namespace, name, subresource: sub }: Target = target
  const reading = name === undefined ? (isTrue(query.watch) ? 'watch' : 'list') : 'get'
  const verb =
    request.method === 'GET'
      ? reading
      : request.method === 'DELETE' && name === undefined
        ? 'deletecollection'
        : verbs[request.method]!
  return {
    verb,
    group: resource.group,
    resource: resource.plural,
    ...(sub ? { subresource: sub } : {}),
    ...(namespace ? { namespace } : {}),
    ...(name ? { name } : {})
  }
}

const refusal = (user: string, { verb, group, resource, subresource: sub, namespace }: Attributes) =>
  `${resource}${group ? `.${group}` : ''} is forbidden: User "${user}" cannot ${verb} resource "${resource}${sub ? `/${sub}` : ''}" in API group "${group}" ${namespace ? `in the namespace "${namespace}"` : 'at the cluster scope'}`
