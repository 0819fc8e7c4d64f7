import type { KubeClient } from '../kube/index.ts'
import type { User } from './authentication.ts'
import { TtlCache } from './ttl-cache.ts'

const allowedTtlMs = 5 * 60_000
const deniedTtlMs = 30_000

const verbs: Readonly<Record<string, string>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete'
}
/** What runs a command or reaches a port is no reading, though WebSockets ask for it with GET. */
const creates = /^\/(exec|attach|portForward|run)(\/|$)/
export const verbOf = (method: string, path = ''): string =>
  creates.test(path) ? 'create' : (verbs[method] ?? method.toLowerCase())

/** Subresources of `nodes`, any of which allows the path. Source: KEP-2862; k8s.io/kubernetes/pkg/kubelet/server/auth.go. */
export function subresourcesOf(path: string): readonly string[] {
  const within = (root: string) => path === root || path.startsWith(`${root}/`)
  if (within('/stats')) return ['stats']
  if (within('/metrics')) return ['metrics']
  if (within('/logs')) return ['log']
  if (within('/healthz')) return ['healthz', 'proxy']
  if (within('/pods') || within('/runningpods')) return ['pods', 'proxy']
  if (within('/configz')) return ['configz', 'proxy']
  return ['proxy']
}

interface SubjectAccessReview {
  readonly status?: { readonly allowed?: boolean }
}

/** SubjectAccessReview on `nodes/<subresource>`: a yes is remembered 5 min, a no 30 s. */
export function createAuthorizer(kube: Pick<KubeClient, 'create'>, now?: () => number) {
  const answers = new TtlCache<boolean>({ max: 4096, ...(now && { now }) })

  return async function allowed(
    user: User,
    verb: string,
    subresource: string,
    node: string
  ): Promise<boolean> {
    const key = JSON.stringify([user.username, user.uid, user.groups, user.extra, verb, subresource, node])
    return answers.get(
      key,
      async () => {
        const review = await kube.create<SubjectAccessReview>(
          '/apis/authorization.k8s.io/v1/subjectaccessreviews',
          {
            apiVersion: 'authorization.k8s.io/v1',
            kind: 'SubjectAccessReview',
            spec: {
              user: user.username,
              groups: user.groups,
              ...(user.uid && { uid: user.uid }),
              ...(user.extra && { extra: user.extra }),
              resourceAttributes: {
                verb,
                version: 'v1',
                resource: 'nodes',
                subresource,
                ...(node && { name: node })
              }
            }
          }
        )
        return review.status?.allowed === true
      },
      (yes) => (yes ? allowedTtlMs : deniedTtlMs)
    )
  }
}
export type Authorizer = ReturnType<typeof createAuthorizer>
