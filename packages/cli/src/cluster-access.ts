import { isNotFound, KubeError, type KubeClient } from '@interlink-ts/vk-core/kube'
import { UsageError } from './errors.ts'

export interface Right {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly subresource?: string
}

const right = (verb: string, group: string, resource: string, subresource?: string): Right => ({
  verb,
  group,
  resource,
  ...(subresource ? { subresource } : {})
})

/** What `deploy/kubernetes/rbac.yaml` gives the node, as far as it cannot do without. */
export const rightsOfNode: readonly Right[] = [
  right('create', '', 'nodes'),
  right('patch', '', 'nodes', 'status'),
  right('watch', '', 'pods'),
  right('patch', '', 'pods', 'status'),
  right('delete', '', 'pods'),
  right('get', '', 'configmaps'),
  right('get', '', 'secrets'),
  right('create', '', 'serviceaccounts', 'token'),
  right('create', '', 'events'),
  right('create', 'authentication.k8s.io', 'tokenreviews'),
  right('create', 'authorization.k8s.io', 'subjectaccessreviews'),
  right('create', 'certificates.k8s.io', 'certificatesigningrequests')
]

/** What `interlink up` does besides: it applies a pod, and takes its node away at the end. */
const rightsOfUp: readonly Right[] = [
  ...rightsOfNode,
  right('create', '', 'pods'),
  right('get', '', 'pods', 'log'),
  right('delete', '', 'nodes')
]

export const nameOf = ({ verb, resource, subresource }: Right): string =>
  `${verb} ${resource}${subresource ? `/${subresource}` : ''}`

/** Whether we have each of these rights in the whole cluster. */
export const askRights = (kube: KubeClient, rights: readonly Right[]): Promise<readonly boolean[]> =>
  Promise.all(
    rights.map(async (resourceAttributes) => {
      const review = await kube.create<{ status: { allowed: boolean } }>(
        '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SelfSubjectAccessReview',
          spec: { resourceAttributes }
        }
      )
      return review.status.allowed
    })
  )

/** The version of the cluster, or an error that says why it does not answer and what to do. */
export async function reachCluster(kube: KubeClient): Promise<string> {
  try {
    return (await kube.get<{ gitVersion: string }>('/version', {}, { timeoutMs: 15_000 })).gitVersion
  } catch (error) {
    throw new UsageError(`the cluster at ${kube.server} ${whyNot(error)}`, { cause: error })
  }
}

/** Fails unless the virtual node of that name may join this cluster, which is somebody's own. */
export async function mayJoin(kube: KubeClient, node: string): Promise<void> {
  const allowed = await askRights(kube, rightsOfUp)
  const lacking = rightsOfUp.filter((_, index) => !allowed[index]).map(nameOf)
  if (lacking.length > 0)
    throw new UsageError(
      `the kubeconfig's user may not: ${lacking.join(', ')}; use an administrator's, or have deploy/kubernetes/rbac.yaml applied and run the node by "interlink vk"`
    )
  const there = await kube
    .get<{ metadata: { labels?: Record<string, string> } }>(`/api/v1/nodes/${node}`)
    .catch((error) => {
      if (!isNotFound(error)) throw error
    })
  if (there && there.metadata.labels?.['virtual-node.interlink/type'] === undefined)
    throw new UsageError(
      `the cluster has a node ${node} already that is not a virtual one; give another name by --node`
    )
}

function whyNot(error: unknown): string {
  if (error instanceof KubeError)
    return error.status === 401
      ? 'does not accept these credentials; renew them, or give another --kubeconfig or --context'
      : `answers ${error.status}: ${error.message}`
  const { message, code = '' } = error as NodeJS.ErrnoException
  return /CERT|SIGNATURE|ALTNAME/.test(code)
    ? `is not trusted (${message}); the kubeconfig's certificate-authority must be the cluster's own`
    : `does not answer (${message}); check that it is up and that the kubeconfig's server is right`
}
