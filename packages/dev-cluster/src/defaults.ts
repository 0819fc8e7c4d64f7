/** What the API server fills in. Source: Kubernetes API reference, the defaults of core/v1, apps/v1 and batch/v1. */
import { at, type Json, type KubeObject } from './object.ts'
import type { Resource } from './resources.ts'

type Defaults = (object: KubeObject) => KubeObject

const defaults: Readonly<Record<string, Defaults>> = {
  Pod: (object) => {
    const spec = { enableServiceLinks: true, ...podSpec(at<Json>(object, 'spec') ?? {}) }
    return { ...object, spec, status: { phase: 'Pending', qosClass: qosClass(spec) } }
  },
  Namespace: (object) => ({
    ...object,
    metadata: {
      ...object.metadata,
      labels: { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name }
    },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' }
  }),
  Node: (object) => ({ ...object, spec: object.spec ?? {} }),
  Secret: (object) => {
    const { stringData, ...rest } = object
    const added = Object.fromEntries(
      Object.entries((stringData as Record<string, string>) ?? {}).map(([key, text]) => [
        key,
        Buffer.from(text).toString('base64')
      ])
    )
    return {
      ...rest,
      metadata: object.metadata,
      type: object.type ?? 'Opaque',
      ...(stringData || object.data ? { data: { ...(object.data as Json), ...added } } : {})
    }
  },
  Job: (object) => {
    const spec = at<Json>(object, 'spec') ?? {}
    const labels = {
      'batch.kubernetes.io/controller-uid': object.metadata.uid,
      'batch.kubernetes.io/job-name': object.metadata.name,
      'controller-uid': object.metadata.uid,
      'job-name': object.metadata.name
    }
    const own = { ...at<Record<string, string>>(spec, 'template', 'metadata', 'labels'), ...labels }
    const single = spec.completions === undefined && spec.parallelism === undefined
    return {
      ...object,
      metadata: { ...object.metadata, labels: object.metadata.labels ?? own },
      spec: {
        parallelism: 1,
        manualSelector: false,
        ...(single ? { completions: 1 } : {}),
        backoffLimit: spec.backoffLimitPerIndex === undefined ? 6 : 2147483647,
        completionMode: 'NonIndexed',
        suspend: false,
        ...spec,
        selector: spec.selector ?? {
          matchLabels: { 'batch.kubernetes.io/controller-uid': object.metadata.uid }
        },
        ...(spec.podReplacementPolicy === undefined
          ? { podReplacementPolicy: spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed' }
          : {}),
        template: template(at<Json>(spec, 'template'), labels)
      },
      status: {}
    }
  },
  Deployment: (object) =>
    workload(object, {
      progressDeadlineSeconds: 600,
      revisionHistoryLimit: 10,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } }
    }),
  ReplicaSet: (object) => workload(object, {}),
  DaemonSet: (object) => {
    const { replicas: _none, ...spec } = workload(object, {
      revisionHistoryLimit: 10,
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } }
    }).spec as Json
    return {
      ...object,
      spec,
      status: {
        currentNumberScheduled: 0,
        desiredNumberScheduled: 0,
        numberMisscheduled: 0,
        numberReady: 0
      }
    }
  },
  Service: (object) => {
    const spec = at<Json>(object, 'spec') ?? {}
    return {
      ...object,
      spec: {
        type: 'ClusterIP',
        sessionAffinity: 'None',
        internalTrafficPolicy: 'Cluster',
        ipFamilies: ['IPv4'],
        ipFamilyPolicy: 'SingleStack',
        ...spec,
        ...(Array.isArray(spec.ports)
          ? {
              ports: (spec.ports as Json[]).map((port) => ({
                protocol: 'TCP',
                targetPort: port.port,
                ...port
              }))
            }
          : {})
      },
      status: { loadBalancer: {} }
    }
  },
  PriorityClass: (object) => ({ preemptionPolicy: 'PreemptLowerPriority', ...object }),
  RoleBinding: withSubjects,
  ClusterRoleBinding: withSubjects,
  PersistentVolumeClaim: (object) => ({
    ...object,
    spec: { volumeMode: 'Filesystem', ...at<Json>(object, 'spec') },
    status: { phase: 'Pending' }
  }),
  CertificateSigningRequest: (object) => ({ ...object, status: {} })
}

function withSubjects(object: KubeObject): KubeObject {
  const subjects = at<Json[]>(object, 'subjects')
  return subjects
    ? {
        ...object,
        subjects: subjects.map((one) =>
          one.kind === 'ServiceAccount' ? one : { apiGroup: 'rbac.authorization.k8s.io', ...one }
        )
      }
    : object
}

export const applyDefaults = (resource: Resource, object: KubeObject): KubeObject =>
  (defaults[resource.kind] ?? ((same) => same))(object)

const workload = (object: KubeObject, extra: Json): KubeObject => {
  const spec = at<Json>(object, 'spec') ?? {}
  return {
    ...object,
    spec: { replicas: 1, ...extra, ...spec, template: template(at<Json>(spec, 'template'), {}) },
    status: {}
  }
}

const template = (given: Json | undefined, labels: Record<string, string>): Json => ({
  ...given,
  metadata: {
    ...(given?.metadata as Json),
    labels: { ...at<Record<string, string>>(given, 'metadata', 'labels'), ...labels }
  },
  spec: podSpec(at<Json>(given, 'spec') ?? {})
})

const podSpec = (spec: Json): Json => ({
  restartPolicy: 'Always',
  dnsPolicy: 'ClusterFirst',
  terminationGracePeriodSeconds: 30,
  securityContext: {},
  schedulerName: 'default-scheduler',
  ...spec,
  ...(spec.volumes ? { volumes: (spec.volumes as Json[]).map(volume) } : {}),
  ...(spec.initContainers ? { initContainers: (spec.initContainers as Json[]).map(container) } : {}),
  containers: Array.isArray(spec.containers) ? (spec.containers as Json[]).map(container) : spec.containers
})

const container = (given: Json): Json => {
  const image = String(given.image ?? '')
  const tagged = /:[^/]+$/.test(image) && !image.endsWith(':latest')
  const limits = at<Json>(given, 'resources', 'limits')
  const filled: Json = {
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: tagged || image.includes('@') ? 'IfNotPresent' : 'Always',
    ...given,
    resources: limits
      ? { ...(given.resources as Json), requests: { ...limits, ...at<Json>(given, 'resources', 'requests') } }
      : (given.resources ?? {})
  }
  if (given.ports) filled.ports = (given.ports as Json[]).map((port) => ({ protocol: 'TCP', ...port }))
  if (given.env) filled.env = (given.env as Json[]).map(envVar)
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
    if (given[probe])
      filled[probe] = {
        timeoutSeconds: 1,
        periodSeconds: 10,
        successThreshold: 1,
        failureThreshold: 3,
        ...handler(given[probe] as Json)
      }
  if (given.lifecycle)
    filled.lifecycle = Object.fromEntries(
      Object.entries(given.lifecycle as Json).map(([hook, action]) => [
        hook,
        typeof action === 'object' ? handler(action as Json) : action
      ])
    )
  return filled
}

const handler = (given: Json): Json => ({
  ...given,
  ...(given.httpGet ? { httpGet: { path: '/', scheme: 'HTTP', ...(given.httpGet as Json) } } : {}),
  ...(given.grpc ? { grpc: { service: '', ...(given.grpc as Json) } } : {})
})

const envVar = (variable: Json): Json => {
  const from = variable.valueFrom as Json | undefined
  return from ? { ...variable, valueFrom: reference(from) } : variable
}

const reference = (given: Json): Json => ({
  ...given,
  ...(given.fieldRef ? { fieldRef: { apiVersion: 'v1', ...(given.fieldRef as Json) } } : {}),
  ...(given.resourceFieldRef
    ? { resourceFieldRef: { divisor: '0', ...(given.resourceFieldRef as Json) } }
    : {})
})

const volume = (given: Json): Json => {
  // a volume that says nothing is an empty directory
  const isBare = Object.keys(given).every((key) => key === 'name')
  const filled: Json = { ...given, ...(isBare ? { emptyDir: {} } : {}) }
  for (const kind of ['configMap', 'secret', 'projected', 'downwardAPI'])
    if (given[kind]) filled[kind] = { defaultMode: 420, ...(given[kind] as Json) }
  if (given.hostPath) filled.hostPath = { type: '', ...(given.hostPath as Json) }
  const projected = filled.projected as Json | undefined
  if (Array.isArray(projected?.sources))
    filled.projected = { ...projected, sources: (projected.sources as Json[]).map(source) }
  if (filled.downwardAPI) filled.downwardAPI = downward(filled.downwardAPI as Json)
  return filled
}

const source = (given: Json): Json => ({
  ...given,
  ...(given.serviceAccountToken
    ? { serviceAccountToken: { expirationSeconds: 3600, ...(given.serviceAccountToken as Json) } }
    : {}),
  ...(given.downwardAPI ? { downwardAPI: downward(given.downwardAPI as Json) } : {})
})

const downward = (given: Json): Json => ({
  ...given,
  ...(Array.isArray(given.items)
    ? {
        items: (given.items as Json[]).map(reference)
      }
    : {})
})

function qosClass(spec: Json): string {
  const all = [...((spec.containers as Json[]) ?? []), ...((spec.initContainers as Json[]) ?? [])]
  const sets = all.map((one) => ({
    limits: at<Json>(one, 'resources', 'limits') ?? {},
    requests: at<Json>(one, 'resources', 'requests') ?? {}
  }))
  const asked = (set: Json) => ['cpu', 'memory'].filter((name) => name in set)
  if (sets.every(({ limits, requests }) => asked(limits).length + asked(requests).length === 0))
    return 'BestEffort'
  const guaranteed = sets.every(
    ({ limits, requests }) =>
      asked(limits).length === 2 &&
      asked(limits).every((name) => String(requests[name]) === String(limits[name]))
  )
  return guaranteed ? 'Guaranteed' : 'Burstable'
}
