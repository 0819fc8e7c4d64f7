/** Who am I, who is this, may they: authentication.k8s.io and authorization.k8s.io. */
import { at, type Json } from '../object.ts'
import { badRequest } from '../errors.ts'
import { tokenIssuer, type Attributes, type User } from '../access.ts'
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

/** Answers a review, or undefined when `kind` (its plural) is none. */
export async function review(
  context: ApiContext,
  kind: string,
  caller: User,
  body: Json
): Promise<Json | undefined> {
  const spec = at<Json>(body, 'spec') ?? {}
  const { access } = context
  switch (kind) {
    case 'tokenreviews': {
      const asked = at<string[]>(spec, 'audiences') ?? []
      const audiences = asked.length > 0 ? asked : [tokenIssuer]
      const user = await access.user(at<string>(spec, 'token'), audiences)
      return {
        ...body,
        status: user
          ? { authenticated: true, user: { ...user }, audiences }
          : { authenticated: false, error: 'the token is not known, has expired, or is for another audience' }
      }
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
      const rules = access.rules(caller, at<string>(spec, 'namespace'))
      return {
        ...body,
        status: {
          incomplete: false,
          resourceRules: rules.filter((rule) => rule.resources),
          nonResourceRules: rules.filter((rule) => rule.nonResourceURLs)
        }
      }
    }
    default:
      return undefined
  }
}
