/** Who is asking, and may they: service account tokens (JWT) and RBAC as stored. */
import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto'
import { SignJWT, jwtVerify } from 'jose'
import { at, type Json, type KubeObject } from './object.ts'
import { known } from './resources.ts'
import type { Store } from './store.ts'

export interface User {
  readonly username: string
  readonly uid?: string
  readonly groups: readonly string[]
}

export interface Attributes {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly subresource?: string
  readonly namespace?: string
  readonly name?: string
  /** For paths such as /healthz. */
  readonly path?: string
}

const issuer = 'https://kubernetes.default.svc'
const roles = known('rbac.authorization.k8s.io/v1', 'Role')
const clusterRoles = known('rbac.authorization.k8s.io/v1', 'ClusterRole')
const roleBindings = known('rbac.authorization.k8s.io/v1', 'RoleBinding')
const clusterRoleBindings = known('rbac.authorization.k8s.io/v1', 'ClusterRoleBinding')
const accounts = known('v1', 'ServiceAccount')
const pods = known('v1', 'Pod')

export class Access {
  readonly #adminToken: string
  readonly #store: Store
  readonly #keys: { privateKey: KeyObject; publicKey: KeyObject }

  constructor(adminToken: string, store: Store) {
    this.#adminToken = adminToken
    this.#store = store
    this.#keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  }

  /** The user of a bearer token, or undefined when it is no good. `audiences` as in a TokenReview. */
  async user(token: string | undefined, audiences: readonly string[] = [issuer]): Promise<User | undefined> {
    if (!token) return undefined
    if (token === this.#adminToken)
      return { username: 'admin', groups: ['system:masters', 'system:authenticated'] }
    try {
      const { payload } = await jwtVerify(token, this.#keys.publicKey, { issuer, audience: [...audiences] })
      const claims = payload['kubernetes.io'] as {
        namespace: string
        serviceaccount: { name: string; uid: string }
        pod?: { name: string; uid: string }
      }
      const account = this.#store.find(accounts, claims.namespace, claims.serviceaccount.name)
      if (account?.metadata.uid !== claims.serviceaccount.uid) return undefined
      if (
        claims.pod &&
        this.#store.find(pods, claims.namespace, claims.pod.name)?.metadata.uid !== claims.pod.uid
      )
        return undefined
      return {
        username: `system:serviceaccount:${claims.namespace}:${claims.serviceaccount.name}`,
        uid: claims.serviceaccount.uid,
        groups: [
          'system:serviceaccounts',
          `system:serviceaccounts:${claims.namespace}`,
          'system:authenticated'
        ]
      }
    } catch {
      return undefined
    }
  }

  /** A token for a service account. Source: TokenRequest, authentication.k8s.io/v1. */
  async issue(account: KubeObject, spec: Json): Promise<{ token: string; expirationTimestamp: string }> {
    const seconds = Math.max(600, Number(spec.expirationSeconds ?? 3600))
    const expires = Math.floor(Date.now() / 1000) + seconds
    const bound = at<Json>(spec, 'boundObjectRef')
    const audiences = (spec.audiences as string[] | undefined)?.filter(Boolean) ?? []
    const token = await new SignJWT({
      'kubernetes.io': {
        namespace: account.metadata.namespace,
        serviceaccount: { name: account.metadata.name, uid: account.metadata.uid },
        ...(bound?.kind === 'Pod' ? { pod: { name: bound.name, uid: bound.uid } } : {})
      }
    })
      .setProtectedHeader({ alg: 'ES256', typ: 'JWT' })
      .setIssuer(issuer)
      .setSubject(`system:serviceaccount:${account.metadata.namespace}:${account.metadata.name}`)
      .setAudience(audiences.length > 0 ? audiences : [issuer])
      .setIssuedAt()
      .setNotBefore('0s')
      .setExpirationTime(expires)
      .setJti(randomUUID())
      .sign(this.#keys.privateKey)
    return { token, expirationTimestamp: new Date(expires * 1000).toISOString().replace(/\.\d+Z$/, 'Z') }
  }

  /** RBAC: the first rule of a role bound to the user that covers what is asked. */
  allowed(user: User, asked: Attributes): boolean {
    if (user.groups.includes('system:masters')) return true
    if (asked.path !== undefined) return user.groups.includes('system:authenticated')
    if (asked.group.endsWith('authorization.k8s.io') && asked.resource.startsWith('self')) return true
    const bound = [
      ...this.#store.list(clusterRoleBindings),
      ...(asked.namespace ? this.#store.list(roleBindings, asked.namespace) : [])
    ]
    return bound.some(
      (binding) => this.#subject(binding, user) && this.#rules(binding).some((rule) => covers(rule, asked))
    )
  }

  #subject(binding: KubeObject, user: User): boolean {
    return (at<Json[]>(binding, 'subjects') ?? []).some((subject) => {
      switch (subject.kind) {
        case 'User':
          return subject.name === user.username
        case 'Group':
          return user.groups.includes(String(subject.name))
        default:
          return (
            user.username ===
            `system:serviceaccount:${String(subject.namespace ?? binding.metadata.namespace)}:${String(subject.name)}`
          )
      }
    })
  }

  #rules(binding: KubeObject): Json[] {
    const reference = at<{ kind: string; name: string }>(binding, 'roleRef')
    const role =
      reference?.kind === 'Role'
        ? this.#store.find(roles, binding.metadata.namespace, reference.name)
        : this.#store.find(clusterRoles, undefined, reference?.name ?? '')
    return at<Json[]>(role, 'rules') ?? []
  }
}

function covers(rule: Json, asked: Attributes): boolean {
  const lists = (field: string, value: string) => {
    const list = (rule[field] as string[] | undefined) ?? []
    return list.includes('*') || list.includes(value)
  }
  const resource = asked.subresource ? `${asked.resource}/${asked.subresource}` : asked.resource
  const names = (rule.resourceNames as string[] | undefined) ?? []
  return (
    lists('verbs', asked.verb) &&
    lists('apiGroups', asked.group) &&
    (lists('resources', resource) ||
      (asked.subresource ? lists('resources', `*/${asked.subresource}`) : false)) &&
    (names.length === 0 || (asked.name !== undefined && names.includes(asked.name)))
  )
}
