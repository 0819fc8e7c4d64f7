/** What `kubectl get` shows of each kind. Source: kubernetes/pkg/printers/internalversion. */
import { at, type Json, type KubeObject } from './object.ts'

type Cell = string | number
export interface Column {
  readonly name: string
  readonly cell: (object: KubeObject) => Cell
  readonly type?: 'integer'
  /** 1: only with -o wide. */
  readonly priority?: 1
}

const text =
  (...path: string[]) =>
  (object: KubeObject) =>
    String(at(object, ...path) ?? '<none>')
const count =
  (...path: string[]) =>
  (object: KubeObject) =>
    Number(at(object, ...path) ?? 0)
export const name: Column = { name: 'Name', cell: (object) => object.metadata.name }
export const age: Column = { name: 'Age', cell: (object) => since(object.metadata.creationTimestamp) }

/** The columns of a kind; what is not here shows its name and age. */
export const columns: Readonly<Record<string, readonly Column[]>> = {
  Pod: [
    name,
    {
      name: 'Ready',
      cell: (pod) =>
        `${statuses(pod).filter((one) => one.ready).length}/${at<Json[]>(pod, 'spec', 'containers')?.length ?? 0}`
    },
    { name: 'Status', cell: podStatus },
    {
      name: 'Restarts',
      cell: (pod) => statuses(pod).reduce((sum, one) => sum + Number(one.restartCount ?? 0), 0),
      type: 'integer'
    },
    age,
    { name: 'IP', cell: text('status', 'podIP'), priority: 1 },
    { name: 'Node', cell: text('spec', 'nodeName'), priority: 1 },
    { name: 'Nominated Node', cell: text('status', 'nominatedNodeName'), priority: 1 },
    { name: 'Readiness Gates', cell: () => '<none>', priority: 1 }
  ],
  Node: [
    name,
    { name: 'Status', cell: nodeStatus },
    { name: 'Roles', cell: nodeRoles },
    age,
    { name: 'Version', cell: text('status', 'nodeInfo', 'kubeletVersion') },
    {
      name: 'Internal-IP',
      cell: (node) =>
        (at<Json[]>(node, 'status', 'addresses')?.find((one) => one.type === 'InternalIP')
          ?.address as string) ?? '<none>',
      priority: 1
    },
    { name: 'OS-Image', cell: text('status', 'nodeInfo', 'osImage'), priority: 1 }
  ],
  Namespace: [name, { name: 'Status', cell: text('status', 'phase') }, age],
  ConfigMap: [
    name,
    {
      name: 'Data',
      cell: (map) => Object.keys({ ...(map.data as Json), ...(map.binaryData as Json) }).length,
      type: 'integer'
    },
    age
  ],
  Secret: [
    name,
    { name: 'Type', cell: text('type') },
    { name: 'Data', cell: (secret) => Object.keys((secret.data as Json) ?? {}).length, type: 'integer' },
    age
  ],
  Event: [
    {
      name: 'Last Seen',
      cell: (event) =>
        since(
          String(at(event, 'lastTimestamp') ?? at(event, 'eventTime') ?? event.metadata.creationTimestamp)
        )
    },
    { name: 'Type', cell: text('type') },
    { name: 'Reason', cell: text('reason') },
    {
      name: 'Object',
      cell: (event) =>
        `${String(at(event, 'involvedObject', 'kind') ?? '').toLowerCase()}/${String(at(event, 'involvedObject', 'name') ?? '')}`
    },
    { name: 'Message', cell: (event) => String(event.message ?? '').trim() }
  ],
  Job: [
    name,
    { name: 'Status', cell: jobStatus },
    {
      name: 'Completions',
      cell: (job) => `${count('status', 'succeeded')(job)}/${String(at(job, 'spec', 'completions') ?? 1)}`
    },
    {
      name: 'Duration',
      cell: (job) =>
        at(job, 'status', 'startTime')
          ? span(
              Date.parse(String(at(job, 'status', 'completionTime') ?? new Date().toISOString())) -
                Date.parse(at(job, 'status', 'startTime')!)
            )
          : ''
    },
    age
  ],
  Deployment: [
    name,
    {
      name: 'Ready',
      cell: (one) => `${count('status', 'readyReplicas')(one)}/${count('spec', 'replicas')(one)}`
    },
    { name: 'Up-to-date', cell: count('status', 'updatedReplicas'), type: 'integer' },
    { name: 'Available', cell: count('status', 'availableReplicas'), type: 'integer' },
    age
  ],
  ReplicaSet: [
    name,
    { name: 'Desired', cell: count('spec', 'replicas'), type: 'integer' },
    { name: 'Current', cell: count('status', 'replicas'), type: 'integer' },
    { name: 'Ready', cell: count('status', 'readyReplicas'), type: 'integer' },
    age
  ],
  Service: [
    name,
    { name: 'Type', cell: text('spec', 'type') },
    { name: 'Cluster-IP', cell: text('spec', 'clusterIP') },
    { name: 'External-IP', cell: () => '<none>' },
    {
      name: 'Port(s)',
      cell: (service) =>
        (at<Json[]>(service, 'spec', 'ports') ?? [])
          .map((one) => `${String(one.port)}/${String(one.protocol)}`)
          .join(',') || '<none>'
    },
    age,
    { name: 'Selector', cell: (service) => pairs(at(service, 'spec', 'selector')), priority: 1 }
  ],
  DaemonSet: [
    name,
    { name: 'Desired', cell: count('status', 'desiredNumberScheduled'), type: 'integer' },
    { name: 'Current', cell: count('status', 'currentNumberScheduled'), type: 'integer' },
    { name: 'Ready', cell: count('status', 'numberReady'), type: 'integer' },
    { name: 'Up-to-date', cell: count('status', 'updatedNumberScheduled'), type: 'integer' },
    { name: 'Available', cell: count('status', 'numberAvailable'), type: 'integer' },
    { name: 'Node Selector', cell: (set) => pairs(at(set, 'spec', 'template', 'spec', 'nodeSelector')) },
    age
  ],
  ServiceAccount: [
    name,
    { name: 'Secrets', cell: (account) => at<Json[]>(account, 'secrets')?.length ?? 0, type: 'integer' },
    age
  ],
  Lease: [name, { name: 'Holder', cell: text('spec', 'holderIdentity') }, age],
  PriorityClass: [
    name,
    { name: 'Value', cell: count('value'), type: 'integer' },
    { name: 'Global-Default', cell: (one) => String(one.globalDefault ?? false) },
    age
  ],
  PersistentVolumeClaim: [
    name,
    { name: 'Status', cell: text('status', 'phase') },
    { name: 'Volume', cell: (claim) => String(at(claim, 'spec', 'volumeName') ?? '') },
    { name: 'StorageClass', cell: (claim) => String(at(claim, 'spec', 'storageClassName') ?? '') },
    age
  ],
  RoleBinding: [name, { name: 'Role', cell: roleOf }, age],
  ClusterRoleBinding: [name, { name: 'Role', cell: roleOf }, age],
  CertificateSigningRequest: [
    name,
    age,
    { name: 'SignerName', cell: text('spec', 'signerName') },
    { name: 'Requestor', cell: text('spec', 'username') },
    {
      name: 'Condition',
      cell: (csr) =>
        [
          ...(at<Json[]>(csr, 'status', 'conditions') ?? []).map((one) => String(one.type)),
          ...(at(csr, 'status', 'certificate') ? ['Issued'] : [])
        ].join(',') || 'Pending'
    }
  ]
}

const statuses = (pod: KubeObject) => at<Json[]>(pod, 'status', 'containerStatuses') ?? []

/** kubectl's STATUS column: the most telling of phase, reasons and deletion. Source: printPod of kubernetes/pkg/printers. */
function podStatus(pod: KubeObject): string {
  if (pod.metadata.deletionTimestamp) return 'Terminating'
  const reason = at<string>(pod, 'status', 'reason')
  const inits = at<Json[]>(pod, 'status', 'initContainerStatuses') ?? []
  const total = at<Json[]>(pod, 'spec', 'initContainers')?.length ?? 0
  const always = new Set(
    (at<Json[]>(pod, 'spec', 'initContainers') ?? [])
      .filter((one) => one.restartPolicy === 'Always')
      .map((one) => one.name)
  )
  for (const [index, one] of inits.entries()) {
    const ended = at<Json>(one, 'state', 'terminated')
    if (ended?.exitCode === 0 || (always.has(one.name) && one.started)) continue
    if (ended) return `Init:${String(ended.reason || `ExitCode:${String(ended.exitCode)}`)}`
    const waiting = at<string>(one, 'state', 'waiting', 'reason')
    return waiting && waiting !== 'PodInitializing' ? `Init:${waiting}` : `Init:${index}/${total}`
  }
  for (const one of [...statuses(pod)].reverse()) {
    const waiting = at<string>(one, 'state', 'waiting', 'reason')
    const ended = at<Json>(one, 'state', 'terminated')
    if (waiting) return waiting
    if (ended) return String(ended.reason || `ExitCode:${String(ended.exitCode)}`)
  }
  return reason ?? String(at(pod, 'status', 'phase') ?? 'Unknown')
}

function nodeStatus(node: KubeObject): string {
  const ready = at<Json[]>(node, 'status', 'conditions')?.find((one) => one.type === 'Ready')
  const word = ready ? (ready.status === 'True' ? 'Ready' : 'NotReady') : 'Unknown'
  return at(node, 'spec', 'unschedulable') ? `${word},SchedulingDisabled` : word
}

function nodeRoles(node: KubeObject): string {
  const labels = node.metadata.labels ?? {}
  const roles = Object.keys(labels)
    .filter((key) => key.startsWith('node-role.kubernetes.io/'))
    .map((key) => key.slice('node-role.kubernetes.io/'.length))
  if (labels['kubernetes.io/role']) roles.push(labels['kubernetes.io/role'])
  return roles.join(',') || '<none>'
}

function jobStatus(job: KubeObject): string {
  const held =
    at<Json[]>(job, 'status', 'conditions')
      ?.filter((one) => one.status === 'True')
      .map((one) => String(one.type)) ?? []
  return ['Complete', 'Failed', 'Suspended'].find((type) => held.includes(type)) ?? 'Running'
}

const pairs = (labels: unknown): string =>
  Object.entries((labels as Json | undefined) ?? {})
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(',') || '<none>'

function roleOf(binding: KubeObject): string {
  return `${String(at(binding, 'roleRef', 'kind'))}/${String(at(binding, 'roleRef', 'name'))}`
}

const since = (time: string): string => span(Date.now() - Date.parse(time))

/** A duration as kubectl writes it: 5s, 3m2s, 4h, 2d. */
function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`
  if (minutes < 180) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`
}
