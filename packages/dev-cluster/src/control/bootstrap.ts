/** What a cluster has before its first user comes. */
import type { Cluster } from '../cluster.ts'
import { known } from '../resources.ts'

const namespaces = known('v1', 'Namespace')
const configMaps = known('v1', 'ConfigMap')
const accounts = known('v1', 'ServiceAccount')
const roles = known('rbac.authorization.k8s.io/v1', 'Role')
const clusterRoles = known('rbac.authorization.k8s.io/v1', 'ClusterRole')
const bindings = known('rbac.authorization.k8s.io/v1', 'ClusterRoleBinding')
const priorities = known('scheduling.k8s.io/v1', 'PriorityClass')
const rbac = 'rbac.authorization.k8s.io'

export interface Bootstrap {
  /** PEM. */
  readonly ca: string
  /** Where pods on this machine reach the API. */
  readonly host: string
  readonly port: number
}

/** Makes the namespaces with what belongs in them, roles, priorities and the service of the API; new namespaces too. */
export function bootstrap(cluster: Cluster, { ca, host, port }: Bootstrap): void {
  const { store } = cluster
  store.watch(namespaces, store.revision, ({ type, object }) => {
    if (type === 'ADDED') furnish(cluster, object.metadata.name, ca)
  })
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease'])
    cluster.create(namespaces, undefined, { metadata: { name } })
  cluster.create(configMaps, 'kube-system', {
    metadata: { name: 'extension-apiserver-authentication' },
    data: { 'client-ca-file': ca }
  })
  cluster.create(roles, 'kube-system', {
    metadata: { name: 'extension-apiserver-authentication-reader' },
    rules: [
      {
        apiGroups: [''],
        resources: ['configmaps'],
        resourceNames: ['extension-apiserver-authentication'],
        verbs: ['get', 'list', 'watch']
      }
    ]
  })
  for (const [name, rules] of Object.entries(clusterRules))
    cluster.create(clusterRoles, undefined, { metadata: { name }, rules })
  for (const [role, group] of [
    ['cluster-admin', 'system:masters'],
    ['system:node', 'system:nodes'],
    ['system:basic-user', 'system:authenticated']
  ])
    cluster.create(bindings, undefined, {
      metadata: { name: role },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: role },
      subjects: [{ apiGroup: rbac, kind: 'Group', name: group }]
    })
  for (const [name, value] of [
    ['system-cluster-critical', 2_000_000_000],
    ['system-node-critical', 2_000_001_000]
  ] as const)
    cluster.create(priorities, undefined, { metadata: { name }, value })
  cluster.create(known('v1', 'Service'), 'default', {
    metadata: { name: 'kubernetes', labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: {
      clusterIP: host,
      clusterIPs: [host],
      ports: [{ name: 'https', port, protocol: 'TCP', targetPort: port }]
    }
  })
}

const selfReviews = ['selfsubjectaccessreviews', 'selfsubjectrulesreviews']
const clusterRules = {
  'cluster-admin': [
    { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
    { nonResourceURLs: ['*'], verbs: ['*'] }
  ],
  'system:basic-user': [
    { apiGroups: ['authorization.k8s.io'], resources: selfReviews, verbs: ['create'] },
    { apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'], verbs: ['create'] }
  ],
  'system:auth-delegator': [
    { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
    { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] }
  ],
  'system:node': [
    {
      apiGroups: [''],
      resources: ['nodes', 'nodes/status', 'pods', 'pods/status', 'events'],
      verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch']
    },
    {
      apiGroups: [''],
      resources: ['configmaps', 'secrets', 'services', 'serviceaccounts'],
      verbs: ['get', 'list', 'watch']
    },
    { apiGroups: [''], resources: ['serviceaccounts/token'], verbs: ['create'] },
    {
      apiGroups: ['coordination.k8s.io'],
      resources: ['leases'],
      verbs: ['create', 'delete', 'get', 'patch', 'update']
    },
    {
      apiGroups: ['certificates.k8s.io'],
      resources: ['certificatesigningrequests'],
      verbs: ['create', 'get', 'list', 'watch']
    },
    { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
    { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] }
  ]
}

/** What every namespace has from the start: an account, and the PEM of the cluster's CA. */
function furnish(cluster: Cluster, namespace: string, ca: string): void {
  cluster.create(accounts, namespace, { metadata: { name: 'default' } })
  cluster.create(configMaps, namespace, {
    metadata: { name: 'kube-root-ca.crt' },
    data: { 'ca.crt': ca }
  })
}
