/**
 * The parts of Kubernetes objects that travel on the wire, as the API server writes them in JSON:
 * times are RFC 3339 strings, quantities are strings. Unknown fields are kept, never required.
 * Source: Kubernetes API reference v1.35, core/v1.
 */
import { Type, type Static, type TSchema } from 'typebox'

const open = { additionalProperties: true } as const
const opt = <T extends TSchema>(schema: T) => Type.Optional(schema)
const str = () => Type.Optional(Type.String())
const int = () => Type.Optional(Type.Integer())
const bool = () => Type.Optional(Type.Boolean())
const strings = () => Type.Optional(Type.Array(Type.String()))
/** A time that Go writes as `null` when it is zero, and some plugins as the year 1: both mean absent. */
const time = () => Type.Optional(Type.String({ 'x-absent': '0001-01-01T00:00:00Z' }))
const stringMap = () => Type.Optional(Type.Record(Type.String(), Type.String()))
const intOrString = Type.Union([Type.Integer(), Type.String()])

export const ObjectMeta = Type.Object(
  {
    name: str(),
    generateName: str(),
    namespace: str(),
    uid: str(),
    resourceVersion: str(),
    generation: int(),
    creationTimestamp: time(),
    deletionTimestamp: time(),
    deletionGracePeriodSeconds: int(),
    labels: stringMap(),
    annotations: stringMap(),
    finalizers: strings(),
    ownerReferences: opt(
      Type.Array(
        Type.Object(
          {
            apiVersion: Type.String(),
            kind: Type.String(),
            name: Type.String(),
            uid: Type.String(),
            controller: bool()
          },
          open
        )
      )
    )
  },
  open
)
export type ObjectMeta = Static<typeof ObjectMeta>

export const KeyToPath = Type.Object({ key: Type.String(), path: Type.String(), mode: int() }, open)
export type KeyToPath = Static<typeof KeyToPath>

export const ObjectFieldSelector = Type.Object({ apiVersion: str(), fieldPath: Type.String() }, open)
export const ResourceFieldSelector = Type.Object(
  { containerName: str(), resource: Type.String(), divisor: opt(intOrString) },
  open
)

const keySelector = Type.Object({ name: str(), key: Type.String(), optional: bool() }, open)
export const EnvVar = Type.Object(
  {
    name: Type.String(),
    value: str(),
    valueFrom: opt(
      Type.Object(
        {
          fieldRef: opt(ObjectFieldSelector),
          resourceFieldRef: opt(ResourceFieldSelector),
          configMapKeyRef: opt(keySelector),
          secretKeyRef: opt(keySelector)
        },
        open
      )
    )
  },
  open
)
export type EnvVar = Static<typeof EnvVar>

const refOptional = Type.Object({ name: str(), optional: bool() }, open)
export const EnvFromSource = Type.Object(
  { prefix: str(), configMapRef: opt(refOptional), secretRef: opt(refOptional) },
  open
)
export type EnvFromSource = Static<typeof EnvFromSource>

export const VolumeMount = Type.Object(
  {
    name: Type.String(),
    mountPath: Type.String(),
    subPath: str(),
    subPathExpr: str(),
    readOnly: bool(),
    mountPropagation: str()
  },
  open
)
export type VolumeMount = Static<typeof VolumeMount>

const httpHeader = Type.Object({ name: Type.String(), value: Type.String() }, open)
const exec = Type.Object({ command: strings() }, open)
const httpGet = Type.Object(
  { path: str(), port: intOrString, host: str(), scheme: str(), httpHeaders: opt(Type.Array(httpHeader)) },
  open
)
const tcpSocket = Type.Object({ port: intOrString, host: str() }, open)

export const Probe = Type.Object(
  {
    exec: opt(exec),
    httpGet: opt(httpGet),
    tcpSocket: opt(tcpSocket),
    grpc: opt(Type.Object({ port: Type.Integer(), service: str() }, open)),
    initialDelaySeconds: int(),
    timeoutSeconds: int(),
    periodSeconds: int(),
    successThreshold: int(),
    failureThreshold: int(),
    terminationGracePeriodSeconds: int()
  },
  open
)
export type Probe = Static<typeof Probe>

export const LifecycleHandler = Type.Object(
  {
    exec: opt(exec),
    httpGet: opt(httpGet),
    tcpSocket: opt(tcpSocket),
    sleep: opt(Type.Object({ seconds: Type.Integer() }, open))
  },
  open
)
export type LifecycleHandler = Static<typeof LifecycleHandler>

const quantities = () => Type.Optional(Type.Record(Type.String(), intOrString))
export const ResourceRequirements = Type.Object({ limits: quantities(), requests: quantities() }, open)
export type ResourceRequirements = Static<typeof ResourceRequirements>

export const SecurityContext = Type.Object(
  {
    privileged: bool(),
    runAsUser: int(),
    runAsGroup: int(),
    runAsNonRoot: bool(),
    readOnlyRootFilesystem: bool(),
    allowPrivilegeEscalation: bool(),
    procMount: str(),
    capabilities: opt(Type.Object({ add: strings(), drop: strings() }, open))
  },
  open
)
export type SecurityContext = Static<typeof SecurityContext>

export const Container = Type.Object(
  {
    name: Type.String(),
    image: str(),
    imagePullPolicy: str(),
    command: strings(),
    args: strings(),
    workingDir: str(),
    env: opt(Type.Array(EnvVar)),
    envFrom: opt(Type.Array(EnvFromSource)),
    volumeMounts: opt(Type.Array(VolumeMount)),
    volumeDevices: opt(Type.Array(Type.Object({ name: Type.String(), devicePath: Type.String() }, open))),
    ports: opt(
      Type.Array(
        Type.Object(
          { containerPort: Type.Integer(), name: str(), protocol: str(), hostPort: int(), hostIP: str() },
          open
        )
      )
    ),
    resources: opt(ResourceRequirements),
    restartPolicy: str(),
    startupProbe: opt(Probe),
    livenessProbe: opt(Probe),
    readinessProbe: opt(Probe),
    lifecycle: opt(
      Type.Object(
        { postStart: opt(LifecycleHandler), preStop: opt(LifecycleHandler), stopSignal: str() },
        open
      )
    ),
    terminationMessagePath: str(),
    terminationMessagePolicy: str(),
    securityContext: opt(SecurityContext),
    stdin: bool(),
    stdinOnce: bool(),
    tty: bool()
  },
  open
)
export type Container = Static<typeof Container>

const items = opt(Type.Array(KeyToPath))
const downwardItems = opt(
  Type.Array(
    Type.Object(
      {
        path: Type.String(),
        mode: int(),
        fieldRef: opt(ObjectFieldSelector),
        resourceFieldRef: opt(ResourceFieldSelector)
      },
      open
    )
  )
)
export const ProjectedSource = Type.Object(
  {
    configMap: opt(Type.Object({ name: str(), optional: bool(), items }, open)),
    secret: opt(Type.Object({ name: str(), optional: bool(), items }, open)),
    downwardAPI: opt(Type.Object({ items: downwardItems }, open)),
    serviceAccountToken: opt(
      Type.Object({ audience: str(), expirationSeconds: int(), path: Type.String() }, open)
    ),
    clusterTrustBundle: opt(Type.Object({ path: Type.String() }, open))
  },
  open
)
export type ProjectedSource = Static<typeof ProjectedSource>

/** A pod volume. A key that is not listed here (csi, nfs, …) names a source that no backend knows. */
export const Volume = Type.Object(
  {
    name: Type.String(),
    configMap: opt(Type.Object({ name: str(), optional: bool(), defaultMode: int(), items }, open)),
    secret: opt(Type.Object({ secretName: str(), optional: bool(), defaultMode: int(), items }, open)),
    projected: opt(Type.Object({ defaultMode: int(), sources: opt(Type.Array(ProjectedSource)) }, open)),
    downwardAPI: opt(Type.Object({ defaultMode: int(), items: downwardItems }, open)),
    emptyDir: opt(Type.Object({ medium: str(), sizeLimit: opt(intOrString) }, open)),
    hostPath: opt(Type.Object({ path: Type.String(), type: str() }, open)),
    persistentVolumeClaim: opt(Type.Object({ claimName: Type.String(), readOnly: bool() }, open))
  },
  open
)
export type Volume = Static<typeof Volume>

export const Toleration = Type.Object(
  { key: str(), operator: str(), value: str(), effect: str(), tolerationSeconds: int() },
  open
)
export type Toleration = Static<typeof Toleration>

export const PodSpec = Type.Object(
  {
    nodeName: str(),
    restartPolicy: str(),
    initContainers: opt(Type.Array(Container)),
    containers: Type.Array(Container, { minItems: 1 }),
    ephemeralContainers: opt(Type.Array(Container)),
    volumes: opt(Type.Array(Volume)),
    terminationGracePeriodSeconds: int(),
    activeDeadlineSeconds: int(),
    serviceAccountName: str(),
    automountServiceAccountToken: bool(),
    hostNetwork: bool(),
    hostPID: bool(),
    hostIPC: bool(),
    hostUsers: bool(),
    shareProcessNamespace: bool(),
    hostname: str(),
    subdomain: str(),
    hostAliases: opt(Type.Array(Type.Object({ ip: Type.String(), hostnames: strings() }, open))),
    dnsPolicy: str(),
    nodeSelector: stringMap(),
    tolerations: opt(Type.Array(Toleration)),
    enableServiceLinks: bool(),
    imagePullSecrets: opt(Type.Array(Type.Object({ name: str() }, open))),
    runtimeClassName: str(),
    priorityClassName: str(),
    resources: opt(ResourceRequirements),
    securityContext: opt(
      Type.Object(
        {
          runAsUser: int(),
          runAsGroup: int(),
          runAsNonRoot: bool(),
          fsGroup: int(),
          supplementalGroups: opt(Type.Array(Type.Integer())),
          sysctls: opt(Type.Array(Type.Object({ name: Type.String(), value: Type.String() }, open)))
        },
        open
      )
    )
  },
  open
)
export type PodSpec = Static<typeof PodSpec>

export const ContainerStateWaiting = Type.Object({ reason: str(), message: str() }, open)
export const ContainerStateRunning = Type.Object({ startedAt: time() }, open)
export const ContainerStateTerminated = Type.Object(
  {
    exitCode: Type.Integer({ default: 0 }),
    signal: int(),
    reason: str(),
    message: str(),
    startedAt: time(),
    finishedAt: time(),
    containerID: str()
  },
  open
)
export const ContainerState = Type.Object(
  {
    waiting: opt(ContainerStateWaiting),
    running: opt(ContainerStateRunning),
    terminated: opt(ContainerStateTerminated)
  },
  open
)
export type ContainerState = Static<typeof ContainerState>

export const ContainerStatus = Type.Object(
  {
    name: Type.String(),
    state: opt(ContainerState),
    lastState: opt(ContainerState),
    ready: bool(),
    started: bool(),
    restartCount: int(),
    image: str(),
    imageID: str(),
    containerID: str()
  },
  open
)
export type ContainerStatus = Static<typeof ContainerStatus>

export const PodCondition = Type.Object(
  {
    type: Type.String(),
    status: Type.String(),
    reason: str(),
    message: str(),
    lastProbeTime: time(),
    lastTransitionTime: time(),
    observedGeneration: int()
  },
  open
)
export type PodCondition = Static<typeof PodCondition>

export const PodStatusObject = Type.Object(
  {
    phase: str(),
    reason: str(),
    message: str(),
    hostIP: str(),
    hostIPs: opt(Type.Array(Type.Object({ ip: str() }, open))),
    podIP: str(),
    podIPs: opt(Type.Array(Type.Object({ ip: str() }, open))),
    startTime: time(),
    qosClass: str(),
    observedGeneration: int(),
    conditions: opt(Type.Array(PodCondition)),
    containerStatuses: opt(Type.Array(ContainerStatus)),
    initContainerStatuses: opt(Type.Array(ContainerStatus)),
    ephemeralContainerStatuses: opt(Type.Array(ContainerStatus))
  },
  open
)
export type PodStatusObject = Static<typeof PodStatusObject>

export const Pod = Type.Object(
  {
    apiVersion: str(),
    kind: str(),
    metadata: ObjectMeta,
    spec: PodSpec,
    status: opt(PodStatusObject)
  },
  open
)
export type Pod = Static<typeof Pod>

export const ConfigMap = Type.Object(
  { metadata: ObjectMeta, data: stringMap(), binaryData: stringMap(), immutable: bool() },
  open
)
/** `data` is text, `binaryData` is base64. */
export type ConfigMap = Static<typeof ConfigMap>

export const Secret = Type.Object(
  { metadata: ObjectMeta, data: stringMap(), stringData: stringMap(), type: str() },
  open
)
/** `data` is base64. */
export type Secret = Static<typeof Secret>
