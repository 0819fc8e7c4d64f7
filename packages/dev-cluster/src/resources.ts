/** The one table of what this cluster knows. A row is all it takes to serve a resource. */
export interface Resource {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  readonly singular: string
  readonly namespaced: boolean
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly subresources: readonly string[]
  /** Where the objects are kept: two groups may show the same ones. */
  readonly storage: string
}

interface Row {
  readonly kind: string
  readonly plural?: string
  readonly short?: readonly string[]
  readonly cluster?: true
  readonly sub?: readonly string[]
  readonly all?: true
  readonly storage?: string
}

const groups: Readonly<Record<string, readonly Row[]>> = {
  v1: [
    { kind: 'Namespace', short: ['ns'], cluster: true, sub: ['status', 'finalize'] },
    { kind: 'Node', short: ['no'], cluster: true, sub: ['status', 'proxy'] },
    {
      kind: 'Pod',
      short: ['po'],
      sub: ['status', 'binding', 'eviction', 'log', 'ephemeralcontainers', 'exec', 'attach', 'portforward'],
      all: true
    },
    { kind: 'ConfigMap', short: ['cm'] },
    { kind: 'Secret' },
    { kind: 'Service', short: ['svc'], sub: ['status'], all: true },
    { kind: 'Endpoints', plural: 'endpoints', short: ['ep'] },
    { kind: 'ServiceAccount', short: ['sa'], sub: ['token'] },
    { kind: 'Event', short: ['ev'], storage: 'events' },
    { kind: 'PersistentVolumeClaim', short: ['pvc'], sub: ['status'] },
    { kind: 'PersistentVolume', short: ['pv'], cluster: true, sub: ['status'] },
    { kind: 'ResourceQuota', short: ['quota'], sub: ['status'] },
    { kind: 'LimitRange', short: ['limits'] }
  ],
  'events.k8s.io/v1': [{ kind: 'Event', short: ['ev'], storage: 'events' }],
  'apps/v1': [
    { kind: 'Deployment', short: ['deploy'], sub: ['status', 'scale'], all: true },
    { kind: 'ReplicaSet', short: ['rs'], sub: ['status', 'scale'], all: true },
    { kind: 'DaemonSet', short: ['ds'], sub: ['status'], all: true },
    { kind: 'StatefulSet', short: ['sts'], sub: ['status', 'scale'], all: true }
  ],
  'batch/v1': [
    { kind: 'Job', sub: ['status'], all: true },
    { kind: 'CronJob', short: ['cj'], sub: ['status'], all: true }
  ],
  'coordination.k8s.io/v1': [{ kind: 'Lease' }],
  'rbac.authorization.k8s.io/v1': [
    { kind: 'Role' },
    { kind: 'RoleBinding' },
    { kind: 'ClusterRole', cluster: true },
    { kind: 'ClusterRoleBinding', cluster: true }
  ],
  'certificates.k8s.io/v1': [
    { kind: 'CertificateSigningRequest', short: ['csr'], cluster: true, sub: ['status', 'approval'] }
  ],
  'policy/v1': [{ kind: 'PodDisruptionBudget', short: ['pdb'], sub: ['status'] }],
  'scheduling.k8s.io/v1': [{ kind: 'PriorityClass', plural: 'priorityclasses', short: ['pc'], cluster: true }]
}

export const resources: readonly Resource[] = Object.entries(groups).flatMap(([groupVersion, rows]) => {
  const [group, version] = groupVersion.includes('/') ? groupVersion.split('/') : ['', groupVersion]
  return rows.map((row) => {
    const plural = row.plural ?? `${row.kind.toLowerCase()}s`
    return {
      group: group!,
      version: version!,
      plural,
      kind: row.kind,
      singular: row.kind.toLowerCase(),
      namespaced: !row.cluster,
      shortNames: row.short ?? [],
      categories: row.all ? ['all'] : [],
      subresources: row.sub ?? [],
      storage: row.storage ?? (group ? `${plural}.${group}` : plural)
    }
  })
})

export const groupVersion = ({ group, version }: Resource): string =>
  group ? `${group}/${version}` : version

const byPath = new Map(
  resources.map((resource) => [`${groupVersion(resource)}/${resource.plural}`, resource])
)
const byKind = new Map(resources.map((resource) => [`${groupVersion(resource)}/${resource.kind}`, resource]))

export const resourceAt = (groupVersionText: string, plural: string): Resource | undefined =>
  byPath.get(`${groupVersionText}/${plural}`)
export const resourceOfKind = (apiVersion: string, kind: string): Resource | undefined =>
  byKind.get(`${apiVersion}/${kind}`)

/** A resource of the table that the cluster's own parts use; a missing one is a mistake of ours. */
export function known(apiVersion: string, kind: string): Resource {
  const resource = resourceOfKind(apiVersion, kind)
  if (!resource) throw new Error(`the table of resources has no ${apiVersion} ${kind}`)
  return resource
}
