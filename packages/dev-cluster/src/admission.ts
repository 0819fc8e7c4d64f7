/** What the built-in admission of the API server adds to an object, or refuses it for. */
import { refused } from './errors.ts'
import { at, nameSuffix, type Json, type KubeObject } from './object.ts'
import { known, type Resource } from './resources.ts'
import type { Store } from './store.ts'

const accounts = known('v1', 'ServiceAccount')
const services = known('v1', 'Service')
const priorities = known('scheduling.k8s.io/v1', 'PriorityClass')
const tokenPath = '/var/run/secrets/kubernetes.io/serviceaccount'

/** An object that is being created, after its defaults. */
export function admitted(store: Store, resource: Resource, object: KubeObject): KubeObject {
  switch (resource.kind) {
    case 'Pod':
      return { ...object, spec: podSpec(store, resource, object) }
    case 'Service':
      return withAddress(store, object)
    default:
      return object
  }
}

/** An object that is being changed: an apply leaves out the tolerations that admission adds. */
export const readmitted = (resource: Resource, object: KubeObject): KubeObject =>
  resource.kind === 'Pod'
    ? {
        ...object,
        spec: {
          ...(object.spec as Json),
          tolerations: nodeTolerations(at<Json[]>(object, 'spec', 'tolerations') ?? [])
        }
      }
    : object

function podSpec(store: Store, resource: Resource, { metadata, spec: given }: KubeObject): Json {
  const spec = (given ?? {}) as Json
  const name = (spec.serviceAccountName || spec.serviceAccount || 'default') as string
  const account = store.find(accounts, metadata.namespace, name)
  if (!account)
    throw refused(
      resource,
      metadata.name,
      `error looking up service account ${metadata.namespace}/${name}: serviceaccount "${name}" not found`
    )
  const secrets = at<Json[]>(account, 'imagePullSecrets')
  const named: Json = {
    ...spec,
    ...priorityOf(store, resource, metadata.name, spec),
    serviceAccountName: name,
    serviceAccount: name,
    ...(secrets && !at<Json[]>(spec, 'imagePullSecrets')?.length ? { imagePullSecrets: secrets } : {}),
    tolerations: nodeTolerations(at<Json[]>(spec, 'tolerations') ?? [])
  }
  const mounts = spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true
  return mounts ? withToken(named) : named
}

function priorityOf(store: Store, resource: Resource, pod: string, spec: Json): Json {
  const { priorityClassName: name } = spec
  const found = name
    ? store.find(priorities, undefined, String(name))
    : store.list(priorities).find((one) => one.globalDefault)
  if (name && !found) throw refused(resource, pod, `no PriorityClass with name ${String(name)} was found`)
  return {
    ...(found ? { priorityClassName: found.metadata.name } : {}),
    priority: found?.value ?? 0,
    preemptionPolicy: found?.preemptionPolicy ?? 'PreemptLowerPriority'
  }
}

/** The projected volume with token, CA and namespace, in each container that has nothing in its place. */
function withToken(spec: Json): Json {
  const wants = (one: Json) =>
    !at<Json[]>(one, 'volumeMounts')?.some((mount) => mount.mountPath === tokenPath)
  const all = ['initContainers', 'containers'].flatMap((list) => at<Json[]>(spec, list) ?? [])
  if (!all.some(wants)) return spec
  const name = `kube-api-access-${nameSuffix()}`
  const mounted = (list: string) =>
    Array.isArray(spec[list])
      ? {
          [list]: (spec[list] as Json[]).map((one) =>
            wants(one)
              ? {
                  ...one,
                  volumeMounts: [
                    ...(at<Json[]>(one, 'volumeMounts') ?? []),
                    { name, readOnly: true, mountPath: tokenPath }
                  ]
                }
              : one
          )
        }
      : {}
  const namespace = { path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }
  const volume = {
    name,
    projected: {
      defaultMode: 420,
      sources: [
        { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        { downwardAPI: { items: [namespace] } }
      ]
    }
  }
  return {
    ...spec,
    ...mounted('initContainers'),
    ...mounted('containers'),
    volumes: [...(at<Json[]>(spec, 'volumes') ?? []), volume]
  }
}

const nodeTolerations = (given: Json[]): Json[] => [
  ...given,
  ...['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']
    .filter(
      (key) =>
        !given.some(
          (toleration) =>
            (toleration.key || key) === key && (toleration.effect || 'NoExecute') === 'NoExecute'
        )
    )
    .map((key) => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 }))
]

function withAddress(store: Store, service: KubeObject): KubeObject {
  const spec = (service.spec ?? {}) as Json
  if (spec.clusterIP || spec.type === 'ExternalName') return service
  const taken = new Set(store.list(services).map((one) => at(one, 'spec', 'clusterIP')))
  let number = 2
  const address = () => `10.96.${number >> 8}.${number & 255}`
  while (taken.has(address())) number++
  return { ...service, spec: { ...spec, clusterIP: address(), clusterIPs: [address()] } }
}
