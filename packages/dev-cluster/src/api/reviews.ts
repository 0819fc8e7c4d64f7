/** Who am I, who is this, may they: authentication.k8s.io and authorization.k8s.io. */
import { at, type Json } from '../object.ts'
import { badRequest } from '../errors.ts'
import type { Attributes, User } from '../access.ts'
import type { ApiContext } from './context.ts'

const attributes = (spec: Json): Attributes => {
  const asked = at<Json>(spec, 'resourceAttributes')
  if (!asked) {
    const path = at<string>(spec, 'nonResourceAttributes', 'path')
    if (!path) throw badRequest('spec: resourceAttributes or nonResourceAttributes is required')
    return { verb: String(at(spec, 'nonResourceAttributes', 'verb') ?? 'get'), group: '', resource: '', path }
  }
  const text = (key: string) => (asked[key] ? { [key]: String(asked[key]) } : {})
  return {
    verb: String(asked.verb ?? ''),
    group: String(asked.group ?? ''),
    resource: String(asked.resource ?? ''),
    ...text('subresource'),
    ...text('namespace'),
    ...text('name')
  }
}

const verdict = (allowed: boolean) => ({
  allowed,
  ...(allowed ? {} : { reason: 'no rule of RBAC allows it' })
})

/** Answers a review, or undefined when the path is none. */
export async function review(
  context: ApiContext,
  path: string,
  caller: User,
  body: Json
): Promise<Json | undefined> {
  const spec = at<Json>(body, 'spec') ?? {}
  const { access } = context
  switch (path.split('/').at(-1)) {
    case 'tokenreviews': {
      const user = await access.user(at<string>(spec, 'token'), at<string[]>(spec, 'audiences'))
      return { ...body, status: user ? { authenticated: true, user: { ...user } } : { authenticated: false } }
    }
    case 'selfsubjectreviews':
      return { ...body, status: { userInfo: { ...caller } } }
    case 'selfsubjectaccessreviews':
      return { ...body, status: verdict(access.allowed(caller, attributes(spec))) }
    case 'subjectaccessreviews':
    case 'localsubjectaccessreviews': {
      const user: User = {
        username: String(spec.user ?? ''),
        groups: (spec.groups as string[] | undefined) ?? []
      }
      return { ...body, status: verdict(access.allowed(user, attributes(spec))) }
    }
    case 'selfsubjectrulesreviews': {
      const all = caller.groups.includes('system:masters')
      const everything = { verbs: ['*'], apiGroups: ['*'], resources: ['*'] }
      return {
        ...body,
        status: { incomplete: !all, resourceRules: all ? [everything] : [], nonResourceRules: [] }
      }
    }
    default:
      return undefined
  }
}
