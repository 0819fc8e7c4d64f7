/**
 * What leaves is what Go's encoder would write: keys without `omitempty` are always there, nil slices and zero times
 * are `null`, struct-typed fields are `{}`. Receivers written against the reference depend on it.
 */
import type {
  ConfigMap,
  Container,
  ContainerState,
  ContainerStatus,
  ObjectMeta,
  Pod,
  Secret
} from './kube.ts'
import type {
  CreateStruct,
  LogStruct,
  PodCreateRequests,
  PodRef,
  PodStatus,
  RetrievedPodData,
  ScriptBuildConfig
} from './messages.ts'

/** `object` since protocol 0.5; `array` of one for plugins of before. */
export type CreateBodyShape = 'object' | 'array'

export const zeroTime = '0001-01-01T00:00:00Z'

/** nil and empty slices are `null` in what the reference's node and API server send. */
const slice = <T, R>(items: readonly T[] | undefined, encode: (item: T) => R): R[] | null =>
  items && items.length > 0 ? items.map(encode) : null

const encodeMeta = (meta: ObjectMeta) => ({ ...meta, creationTimestamp: meta.creationTimestamp ?? null })

/** A ConfigMap or Secret without kind and apiVersion, which a typed client strips. */
function encodeObject<T extends ConfigMap | Secret>(object: T) {
  const {
    kind: _kind,
    apiVersion: _apiVersion,
    ...rest
  } = object as T & { kind?: unknown; apiVersion?: unknown }
  return { ...rest, metadata: encodeMeta(object.metadata) }
}

const encodeContainer = (container: Container) => ({ ...container, resources: container.resources ?? {} })

/** A pod, or with only its metadata a reference to one. */
export function encodePod(pod: Pod | PodRef) {
  const { kind: _kind, apiVersion: _apiVersion, spec, status, ...rest } = pod as Pod
  const metadata = encodeMeta(pod.metadata)
  if (!spec) return { ...rest, metadata }
  return {
    ...rest,
    metadata,
    spec: {
      ...spec,
      ...(spec.initContainers ? { initContainers: spec.initContainers.map(encodeContainer) } : {}),
      containers: spec.containers.map(encodeContainer)
    },
    status: {
      ...status,
      ...(status?.conditions
        ? {
            conditions: status.conditions.map((condition) => ({
              ...condition,
              lastProbeTime: condition.lastProbeTime ?? null,
              lastTransitionTime: condition.lastTransitionTime ?? null
            }))
          }
        : {}),
      ...(status?.containerStatuses
        ? { containerStatuses: status.containerStatuses.map(encodeContainerStatus) }
        : {}),
      ...(status?.initContainerStatuses
        ? { initContainerStatuses: status.initContainerStatuses.map(encodeContainerStatus) }
        : {})
    }
  }
}

/** Node → API. */
export const encodeCreate = (request: PodCreateRequests) => ({
  ...request,
  pod: encodePod(request.pod),
  configmaps: slice(request.configmaps, encodeObject),
  secrets: slice(request.secrets, encodeObject),
  projectedvolumesmaps: slice(request.projectedvolumesmaps, encodeObject),
  jobscriptURL: request.jobscriptURL
})

/** API → plugin. */
export function encodeRetrieved(data: RetrievedPodData, shape: CreateBodyShape = 'object') {
  const { jobScript, ...rest } = data
  const body = {
    ...rest,
    pod: encodePod(data.pod),
    container: slice(data.container, (container) => ({
      ...container,
      configMaps: slice(container.configMaps, encodeObject),
      projectedvolumemaps: slice(container.projectedvolumemaps, encodeObject),
      secrets: slice(container.secrets, encodeObject),
      emptyDirs: slice(container.emptyDirs, (path) => path)
    })),
    jobConfig: encodeScriptBuild(data.jobConfig),
    ...(data.imagePullSecrets ? { imagePullSecrets: data.imagePullSecrets.map(encodeObject) } : {}),
    ...(jobScript ? { jobScript } : {})
  }
  return shape === 'array' ? [body] : body
}

/** Always whole: Go's `omitempty` keeps structs. */
const encodeScriptBuild = (config: ScriptBuildConfig | undefined) => ({
  SingularityHubProxy: {
    server: '',
    master_token: '',
    cache_validity_seconds: 0,
    ...config?.SingularityHubProxy
  },
  ApptainerOptions: {
    executable: '',
    fakeroot: false,
    containall: false,
    fuseMode: '',
    noInit: false,
    noHome: false,
    noPrivs: false,
    nvidiaSupport: false,
    cleanenv: false,
    unsquash: false,
    ...config?.ApptainerOptions
  },
  Volumes: {
    scratch_area: '',
    apptainer_cachedir: '',
    image_dir: '',
    fuse_sleep_seconds: 0,
    ...config?.Volumes,
    additional_directories_in_path: slice(config?.Volumes?.additional_directories_in_path, (path) => path)
  }
})

export const encodeCreateAnswer = (answer: CreateStruct) => ({
  ...answer,
  PodUID: answer.PodUID,
  PodJID: answer.PodJID
})

/** The body of `/status`: pods, or references where the plugin offers `status.refs`. `[]` is a ping. */
export const encodeStatusRequest = (pods: readonly (Pod | PodRef)[]) => pods.map(encodePod)

/** The answer to `/status`; an empty list is `[]`, which every receiver reads. */
export const encodeStatuses = (statuses: readonly PodStatus[]) => statuses.map(encodeStatus)

export const encodeStatus = (status: PodStatus) => ({
  ...status,
  JID: status.JID ?? '',
  containers: status.containers.map(encodeContainerStatus),
  initContainers: slice(status.initContainers, encodeContainerStatus),
  ...(status.ephemeralContainers && {
    ephemeralContainers: status.ephemeralContainers.map(encodeContainerStatus)
  })
})

const encodeContainerStatus = (status: ContainerStatus) => ({
  ...status,
  state: encodeState(status.state),
  lastState: encodeState(status.lastState),
  ready: status.ready ?? false,
  restartCount: status.restartCount ?? 0,
  image: status.image ?? '',
  imageID: status.imageID ?? ''
})

function encodeState(state: ContainerState | undefined) {
  if (!state) return {}
  const { running, terminated } = state
  return {
    ...state,
    ...(running ? { running: { ...running, startedAt: running.startedAt ?? null } } : {}),
    ...(terminated
      ? {
          terminated: {
            ...terminated,
            startedAt: terminated.startedAt ?? null,
            finishedAt: terminated.finishedAt ?? null
          }
        }
      : {})
  }
}

export const encodeLog = (request: LogStruct) => ({
  Namespace: request.Namespace,
  PodUID: request.PodUID,
  PodName: request.PodName,
  ContainerName: request.ContainerName,
  Opts: {
    ...request.Opts,
    Tail: request.Opts.Tail ?? 0,
    Bytes: request.Opts.Bytes ?? 0,
    Timestamps: request.Opts.Timestamps ?? false,
    Follow: request.Opts.Follow ?? false,
    Previous: request.Opts.Previous ?? false,
    SinceSeconds: request.Opts.SinceSeconds ?? 0,
    SinceTime: request.Opts.SinceTime ?? zeroTime
  }
})
