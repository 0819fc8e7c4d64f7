/** Who is asking, and may they: service account tokens (JWT) and RBAC as stored. */
import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto'
import { SignJWT, jwtVerify } from 'jose'
import { conflict, invalid } from './errors.ts'
import { at, type Json, type KubeObject } from './object.ts'
import { known } from './resources.ts'
import type { Store } from './store.ts'

export interface User {
  readonly username: string
  readonly uid?: string
  readonly groups: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
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

/** Also the audience of a token that names none. */
export const tokenIssuer = 'https://kubernetes.default.svc'
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

  /** The user of a bearer token, or undefined when it is no good; `audiences` as in a TokenReview. */
  async user(
    token: string | undefined,
    audiences: readonly string[] = [tokenIssuer]
  ): Promise<User | undefined> {
    if (!token) return undefined
    if (token === this.#adminToken)
      return { username: 'admin', groups: ['system:masters', 'system:authenticated'] }
    try {
      const { payload } = await jwtVerify(token, this.#keys.publicKey, {
        issuer: tokenIssuer,
        audience: [...audiences]
      })
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
        ],
        ...(claims.pod
          ? {
              extra: {
                'authentication.kubernetes.io/pod-name': [claims.pod.name],
                'authentication.kubernetes.io/pod-uid': [claims.pod.uid]
              }
            }
          : {})
      }
    } catch {
      return undefined
    }
  }

  /** The user of a client certificate that this cluster's CA signed: the subject's CN and its Os. */
  userOfCertificate(subject: { CN?: string | string[]; O?: string | string[] }): User | undefined {
    const [username] = [subject.CN ?? []].flat()
    return username ? { username, groups: [...[subject.O ?? []].flat(), 'system:authenticated'] } : undefined
  }

  /** A token for a service account. Source: TokenRequest, authentication.k8s.io/v1. */
  async issue(account: KubeObject, spec: Json): Promise<{ token: string; expirationTimestamp: string }> {
    const seconds = Number(spec.expirationSeconds ?? 3600)
    if (seconds < 600)
      throw invalid({ plural: 'tokenrequests', group: 'authentication.k8s.io', kind: 'TokenRequest' }, '', [
        {
          field: 'spec.expirationSeconds',
          message: `Invalid value: ${seconds}: may not specify a duration less than 10 minutes`,
          reason: 'FieldValueInvalid'
        }
      ])
    const expires = Math.floor(Date.now() / 1000) + seconds
    const bound = at<Json>(spec, 'boundObjectRef')
    if (bound?.kind === 'Pod') this.#mustBe(account, bound)
    const audiences = (spec.audiences as string[] | undefined)?.filter(Boolean) ?? []
    const token = await new SignJWT({
      'kubernetes.io': {
        namespace: account.metadata.namespace,
        serviceaccount: { name: account.metadata.name, uid: account.metadata.uid },
        ...(bound?.kind === 'Pod' ? { pod: { name: bound.name, uid: bound.uid } } : {})
      }
    })
      .setProtectedHeader({ alg: 'ES256', typ: 'JWT' })
      .setIssuer(tokenIssuer)
      .setSubject(`system:serviceaccount:${account.metadata.namespace}:${account.metadata.name}`)
      .setAudience(audiences.length > 0 ? audiences : [tokenIssuer])
      .setIssuedAt()
      .setNotBefore('0s')
      .setExpirationTime(expires)
      .setJti(randomUUID())
      .sign(this.#keys.privateKey)
    return { token, expirationTimestamp: new Date(expires * 1000).toISOString().replace(/\.\d+Z$/, 'Z') }
  }

  #mustBe(account: KubeObject, bound: Json): void {
    const pod = this.#store.get(pods, account.metadata.namespace, String(bound.name))
    if (bound.uid && pod.metadata.uid !== bound.uid)
      throw conflict(
        pods,
        pod.metadata.name,
        `the UID in the bound object reference (${String(bound.uid)}) does not match the UID in record (${pod.metadata.uid}). The object might have been deleted and then recreated`
      )
    bound.uid = pod.metadata.uid
  }

  /** The rules that hold for a user, in a namespace or (undefined) everywhere. */
  rules(user: User, namespace: string | undefined): Json[] {
    const bound = [
      ...this.#store.list(clusterRoleBindings),
      ...(namespace ? this.#store.list(roleBindings, namespace) : [])
    ]
    return bound.filter((binding) => this.#subject(binding, user)).flatMap((binding) => this.#rules(binding))
  }

  /** RBAC: the first rule of a role bound to the user that covers what is asked. */
  allowed(user: User, asked: Attributes): boolean {
    if (user.groups.includes('system:masters')) return true
    return this.rules(user, asked.namespace).some((rule) =>
      asked.path === undefined ? covers(rule, asked) : coversPath(rule, asked.verb, asked.path)
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

function coversPath(rule: Json, verb: string, path: string): boolean {
  const verbs = (rule.verbs as string[] | undefined) ?? []
  const paths = (rule.nonResourceURLs as string[] | undefined) ?? []
  return (
    (verbs.includes('*') || verbs.includes(verb)) &&
    paths.some((one) => (one.endsWith('*') ? path.startsWith(one.slice(0, -1)) : one === path))
  )
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
