/**
 * The messages of the interLink 0.6 protocol, with the additive extensions of this project.
 * These are the shapes after decoding: `null` and absence are one (absent), see `decode.ts`;
 * what leaves is what Go would write, see `encode.ts`.
 */
import { Type, type Static } from 'typebox'
import { ConfigMap, ContainerStatus, ObjectMeta, Pod, Secret } from './kube.ts'

const open = { additionalProperties: true } as const
const str = () => Type.Optional(Type.String())
/** Text where some senders write a number. */
const text = () => Type.String({ 'x-number': true })
const optText = () => Type.Optional(text())

/** Node → API, `POST /create`. `projectedvolumesmaps` are named after the pod's volume. */
export const PodCreateRequests = Type.Object(
  {
    pod: Pod,
    configmaps: Type.Array(ConfigMap, { default: [] }),
    secrets: Type.Array(Secret, { default: [] }),
    projectedvolumesmaps: Type.Array(ConfigMap, { default: [], 'x-alias': ['projectedvolumemaps'] }),
    jobscriptURL: Type.String({ default: '' })
  },
  open
)
export type PodCreateRequests = Static<typeof PodCreateRequests>

export const RetrievedContainer = Type.Object(
  {
    name: Type.String(),
    configMaps: Type.Array(ConfigMap, { default: [] }),
    projectedvolumemaps: Type.Array(ConfigMap, { default: [], 'x-alias': ['projectedvolumesmaps'] }),
    secrets: Type.Array(Secret, { default: [] }),
    emptyDirs: Type.Optional(Type.Array(Type.String()))
  },
  open
)
export type RetrievedContainer = Static<typeof RetrievedContainer>

export const ScriptBuildConfig = Type.Object(
  {
    SingularityHubProxy: Type.Optional(
      Type.Object(
        {
          server: Type.String({ default: '' }),
          master_token: Type.String({ default: '' }),
          cache_validity_seconds: Type.Integer({ default: 0 })
        },
        open
      )
    ),
    ApptainerOptions: Type.Optional(
      Type.Object(
        {
          executable: Type.String({ default: '' }),
          fakeroot: Type.Boolean({ default: false }),
          containall: Type.Boolean({ default: false }),
          fuseMode: Type.String({ default: '' }),
          noInit: Type.Boolean({ default: false }),
          noHome: Type.Boolean({ default: false }),
          noPrivs: Type.Boolean({ default: false }),
          nvidiaSupport: Type.Boolean({ default: false }),
          cleanenv: Type.Boolean({ default: false }),
          unsquash: Type.Boolean({ default: false })
        },
        open
      )
    ),
    Volumes: Type.Optional(
      Type.Object(
        {
          scratch_area: Type.String({ default: '' }),
          apptainer_cachedir: Type.String({ default: '' }),
          image_dir: Type.String({ default: '' }),
          additional_directories_in_path: Type.Array(Type.String(), { default: [] }),
          fuse_sleep_seconds: Type.Integer({ default: 0 })
        },
        open
      )
    )
  },
  open
)
export type ScriptBuildConfig = Static<typeof ScriptBuildConfig>

/**
 * API → plugin, `POST /create`. `container` lists init containers first, then containers, in spec order.
 * `imagePullSecrets` are an extension, sent to plugins with the capability `create.pullSecrets` alone.
 */
export const RetrievedPodData = Type.Object(
  {
    pod: Pod,
    container: Type.Array(RetrievedContainer, { default: [] }),
    jobConfig: Type.Optional(ScriptBuildConfig),
    jobScript: str(),
    imagePullSecrets: Type.Optional(Type.Array(Secret))
  },
  open
)
export type RetrievedPodData = Static<typeof RetrievedPodData>

/** Answer to `/create`: the backend's id of the job, a decimal string where the backend has numbers. */
export const CreateStruct = Type.Object(
  { PodUID: Type.String(), PodJID: Type.String({ default: '', 'x-number': true }) },
  open
)
export type CreateStruct = Static<typeof CreateStruct>

/**
 * One pod in the answer to `/status`. The fields after `initContainers` are extensions:
 * `reason`/`message` say why the whole pod ended or waits (`DeadlineExceeded`, `Priority`, …),
 * `nodeName` is the virtual node it was created for, `podIP` the job's address where it has one,
 * `ephemeralContainers` are those that were added by `/ephemeral`, `notices` are sentences to be shown once as events.
 */
export const PodStatus = Type.Object(
  {
    name: Type.String({ default: '' }),
    UID: Type.String(),
    namespace: Type.String({ default: '' }),
    JID: optText(),
    containers: Type.Array(ContainerStatus, { default: [] }),
    initContainers: Type.Array(ContainerStatus, { default: [] }),
    reason: str(),
    message: str(),
    nodeName: str(),
    podIP: str(),
    ephemeralContainers: Type.Optional(Type.Array(ContainerStatus)),
    notices: Type.Optional(Type.Array(Type.Object({ reason: Type.String(), message: Type.String() }, open)))
  },
  open
)
export type PodStatus = Static<typeof PodStatus>

/**
 * `POST /ephemeral`: adds `container`, the name of one of `spec.ephemeralContainers`, to the job of a pod, once. That
 * container's environment is resolved as for `/create`, the others' need not be.
 */
export const EphemeralRequest = Type.Object({ pod: Pod, container: Type.String() }, open)
export type EphemeralRequest = Static<typeof EphemeralRequest>

/** A pod in a `/status` request; with the `status.refs` capability its metadata is enough. */
export const PodRef = Type.Object({ metadata: ObjectMeta }, open)
export type PodRef = Static<typeof PodRef>

/** Zero values mean "not asked": Tail 0 = all, Bytes 0 = no limit, SinceTime `0001-01-01T00:00:00Z` = none. */
export const LogOpts = Type.Object(
  {
    Tail: Type.Integer({ default: 0 }),
    Bytes: Type.Integer({ default: 0, 'x-alias': ['LimitBytes'] }),
    Timestamps: Type.Boolean({ default: false }),
    Follow: Type.Boolean({ default: false }),
    Previous: Type.Boolean({ default: false }),
    SinceSeconds: Type.Integer({ default: 0 }),
    SinceTime: Type.String({ default: '0001-01-01T00:00:00Z' }),
    /** Extension: `tailLines=0` of the kubelet (no line, then follow), which Tail 0 cannot say. */
    TailNone: Type.Optional(Type.Boolean())
  },
  open
)
export type LogOpts = Static<typeof LogOpts>

export const LogStruct = Type.Object(
  {
    Namespace: Type.String(),
    PodUID: Type.String(),
    PodName: Type.String(),
    ContainerName: Type.String({ default: '' }),
    Opts: Type.Object(LogOpts.properties, { ...open, default: {} })
  },
  open
)
export type LogStruct = Static<typeof LogStruct>

export const Taint = Type.Object({ key: Type.String(), value: str(), effect: Type.String() }, open)
export type Taint = Static<typeof Taint>

/**
 * Answer to a ping. `taints` absent leaves the node's taints, `[]` clears them. Resource values are quantities.
 * Extensions: `backend`, `version`, `capabilities` (see {@link Capability}); `free`, what nobody uses at the moment, a
 * hint and no promise; `models` of accelerators; `queues`, the partitions of a batch system, `maxSeconds` absent where
 * there is no limit; `streams`, how exec, attach and port-forward reach a job.
 */
export const PingResponse = Type.Object(
  {
    status: str(),
    resources: Type.Optional(
      Type.Object(
        {
          cpu: optText(),
          memory: optText(),
          pods: optText(),
          ephemeralStorage: optText(),
          accelerators: Type.Optional(
            Type.Array(
              Type.Object(
                {
                  resourceType: Type.String(),
                  available: text(),
                  free: optText(),
                  models: Type.Optional(Type.Array(Type.String()))
                },
                open
              )
            )
          ),
          free: Type.Optional(Type.Object({ cpu: optText(), memory: optText() }, open))
        },
        open
      )
    ),
    taints: Type.Optional(Type.Array(Taint)),
    streams: Type.Optional(Type.String()),
    queues: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Type.String(),
            nodes: Type.Integer(),
            maxSeconds: Type.Optional(Type.Integer()),
            default: Type.Optional(Type.Boolean())
          },
          open
        )
      )
    ),
    backend: str(),
    version: str(),
    capabilities: Type.Optional(Type.Array(Type.String()))
  },
  open
)
export type PingResponse = Static<typeof PingResponse>

/**
 * What a plugin may offer beyond the reference protocol.
 * - `status.batch`: `/status` answers every pod asked for that it knows; one that is missing is unknown to the backend.
 * - `status.refs`: the pods asked for need no spec, `metadata` {name, namespace, uid} is enough.
 * - `watch`: `GET /watch`.
 * - `create.batch`: `/create` takes an array of several pods and answers an array of {@link CreateOutcome}s, in order.
 * - `create.idempotent`: a second `/create` of the same UID answers the first one's job id and starts nothing.
 * - `create.pullSecrets`: `/create` takes the Secrets that the pod names in `imagePullSecrets`.
 * - `delete.durable`: `/delete` answers once the wish is stored; the end is reported by status, then the pod is unknown.
 * - `devices`: `GET /devices`, {@link DeviceOffer}, and `/create` takes the devices that resource claims were allocated.
 * - `ephemeral`: `POST /ephemeral`, {@link EphemeralRequest}.
 * - `usage`: `GET /usage`, what the containers that run use.
 * - {@link streamKinds}: `GET /exec`, `GET /attach` and `GET /portforward`, each as a WebSocket.
 */
export const capabilities = [
  'status.batch',
  'status.refs',
  'watch',
  'create.batch',
  'create.idempotent',
  'create.pullSecrets',
  'delete.durable'
] as const
export const streamKinds = ['exec', 'attach', 'portforward'] as const
export type StreamKind = (typeof streamKinds)[number]
export type Capability = (typeof capabilities)[number] | 'devices' | 'ephemeral' | 'usage' | StreamKind

/** Subprotocol of the WebSockets of {@link streamKinds}. */
export const streamProtocol = 'v1.stream.interlink.io'

/** What the containers of one pod use, in the answer to `GET /usage`. */
export const PodUsage = Type.Object(
  {
    UID: Type.String(),
    /** When it was measured, epoch ms. */
    at: Type.Number(),
    containers: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          /** CPU time since the container's start; it only grows. */
          cpuSeconds: Type.Number(),
          /** Resident. */
          memoryBytes: Type.Number()
        },
        open
      )
    )
  },
  open
)
export type PodUsage = Static<typeof PodUsage>

/**
 * One line of `GET /watch?node=NAME&cursor=C` (application/x-ndjson).
 * Without a cursor, or with one too old, the stream opens with `reset` and every known pod follows.
 * `bookmark` marks the end of that list and later stands for a heartbeat (every 10 s); its cursor resumes the stream.
 * `gone`: the backend has forgotten the pod (after a delete, or lost).
 */
export const WatchEvent = Type.Union([
  Type.Object({ type: Type.Literal('reset') }, open),
  Type.Object({ type: Type.Literal('status'), cursor: Type.String(), status: PodStatus }, open),
  Type.Object({ type: Type.Literal('gone'), cursor: Type.String(), UID: Type.String() }, open),
  Type.Object({ type: Type.Literal('bookmark'), cursor: Type.String() }, open)
])
export type WatchEvent = Static<typeof WatchEvent>

/** First message of an exec or attach, as text; `command` is for exec alone. */
export const StreamStart = Type.Object(
  {
    command: Type.Optional(Type.Array(Type.String())),
    stdin: Type.Boolean({ default: false }),
    tty: Type.Boolean({ default: false })
  },
  open
)
export type StreamStart = Static<typeof StreamStart>

/** What is said on channel 3 before a stream is closed: metav1.Status as a kubelet gives it. */
export const StreamStatus = Type.Object(
  {
    status: Type.Union([Type.Literal('Success'), Type.Literal('Failure')]),
    reason: str(),
    message: str(),
    details: Type.Optional(
      Type.Object(
        {
          causes: Type.Optional(
            Type.Array(Type.Object({ reason: Type.String(), message: Type.String() }, open))
          )
        },
        open
      )
    )
  },
  open
)
export type StreamStatus = Static<typeof StreamStatus>

/** Every error answer of our servers. `retry`: whether the same call may succeed later. */
export const ErrorBody = Type.Object(
  {
    code: Type.String(),
    message: Type.String(),
    session: Type.String(),
    retry: Type.Boolean(),
    /** `unknown`: the call may have taken effect; ask before it is repeated. */
    outcome: Type.Optional(Type.Literal('unknown')),
    plugin: Type.Optional(
      Type.Object({ name: Type.String(), status: Type.Integer(), body: Type.String() }, open)
    ),
    /** The pod fields that are refused, for code `PLUGIN_REFUSED`. */
    refusals: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }, open)))
  },
  open
)
export type ErrorBody = Static<typeof ErrorBody>

/** What became of one of several creates: `created`, or `error` and the HTTP status that it would have had alone. */
export const CreateOutcome = Type.Object(
  {
    created: Type.Optional(CreateStruct),
    error: Type.Optional(ErrorBody),
    status: Type.Optional(Type.Integer())
  },
  open
)
export type CreateOutcome = Static<typeof CreateOutcome>

/** Header that carries the session id of a call on every hop, for correlation of logs. */
export const sessionHeader = 'interlink-http-session'
/** Header by which our node names itself on calls whose body does not (ping, logs). */
export const nodeHeader = 'interlink-node'
/**
 * Annotation on a pod that travels (never on the API object): what the sender has expanded already, a comma list of
 * `env` (`$(VAR)` in values, valueFrom and envFrom resolved) and `args` (`$(VAR)` in command and args).
 * It survives the reference's API server, which drops unknown fields. Without it, a receiver takes env as expanded
 * (the reference's node does that by default) and args as not.
 */
export const expandedAnnotation = 'interlink.io/expanded'
