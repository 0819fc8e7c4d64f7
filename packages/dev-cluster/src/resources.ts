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
  /** What a field selector may ask for, besides name and namespace. */
  readonly selectableFields: readonly string[]
}

interface Row {
  readonly kind: string
  readonly plural?: string
  readonly short?: readonly string[]
  readonly cluster?: true
  readonly sub?: readonly string[]
  readonly all?: true
  readonly storage?: string
  readonly fields?: readonly string[]
}

const eventFields = [
  ...['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map(
    (field) => `involvedObject.${field}`
  ),
  'reason',
  'reportingComponent',
  'source',
  'type'
]
const podFields = [
  'spec.nodeName',
  'spec.restartPolicy',
  'spec.schedulerName',
  'spec.serviceAccountName',
  'spec.hostNetwork',
  'status.phase',
  'status.podIP',
  'status.podIPs',
  'status.nominatedNodeName'
]

const groups: Readonly<Record<string, readonly Row[]>> = {
  v1: [
    {
      kind: 'Namespace',
      short: ['ns'],
      cluster: true,
      sub: ['status', 'finalize'],
      fields: ['status.phase']
    },
    { kind: 'Node', short: ['no'], cluster: true, sub: ['status', 'proxy'], fields: ['spec.unschedulable'] },
    {
      kind: 'Pod',
      short: ['po'],
      sub: ['status', 'binding', 'eviction', 'log', 'ephemeralcontainers', 'exec', 'attach', 'portforward'],
      all: true,
      fields: podFields
    },
    { kind: 'ConfigMap', short: ['cm'] },
    { kind: 'Secret', fields: ['type'] },
    { kind: 'Service', short: ['svc'], sub: ['status'], all: true, fields: ['spec.clusterIP', 'spec.type'] },
    { kind: 'Endpoints', plural: 'endpoints', short: ['ep'] },
    { kind: 'ServiceAccount', short: ['sa'], sub: ['token'] },
    { kind: 'Event', short: ['ev'], storage: 'events', fields: eventFields },
    { kind: 'PersistentVolumeClaim', short: ['pvc'], sub: ['status'] },
    { kind: 'PersistentVolume', short: ['pv'], cluster: true, sub: ['status'] }
  ],
  'events.k8s.io/v1': [{ kind: 'Event', short: ['ev'], storage: 'events', fields: eventFields }],
  'apps/v1': [
    { kind: 'Deployment', short: ['deploy'], sub: ['status', 'scale'], all: true },
    { kind: 'ReplicaSet', short: ['rs'], sub: ['status', 'scale'], all: true, fields: ['status.replicas'] },
    { kind: 'DaemonSet', short: ['ds'], sub: ['status'], all: true }
  ],
  'batch/v1': [{ kind: 'Job', sub: ['status'], all: true, fields: ['status.successful'] }],
  'coordination.k8s.io/v1': [{ kind: 'Lease' }],
  'rbac.authorization.k8s.io/v1': [
    { kind: 'Role' },
    { kind: 'RoleBinding' },
    { kind: 'ClusterRole', cluster: true },
    { kind: 'ClusterRoleBinding', cluster: true }
  ],
  'certificates.k8s.io/v1': [
    {
      kind: 'CertificateSigningRequest',
      short: ['csr'],
      cluster: true,
      sub: ['status', 'approval'],
      fields: ['spec.signerName']
    }
  ],
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
      selectableFields: ['metadata.name', 'metadata.namespace', ...(row.fields ?? [])],
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
