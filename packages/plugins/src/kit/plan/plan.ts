/**
 * The execution plan: what a pod asks for, said once, in terms every backend can render.
 * The compiler makes it from a pod and its volumes; nothing in it needs the cluster any more.
 * Times are seconds, memory and storage bytes, cpu millicores; file contents are base64.
 */

export interface Plan {
  readonly version: 1
  readonly pod: PlannedPod
  readonly restartPolicy: 'Always' | 'OnFailure' | 'Never'
  /** terminationGracePeriodSeconds: between TERM and KILL. */
  readonly graceSeconds: number
  /** activeDeadlineSeconds, counted from the start of the supervisor. */
  readonly deadlineSeconds?: number
  /** In start order: init containers and sidecars as listed, then the main containers; then what was added later. */
  readonly containers: readonly PlannedContainer[]
  readonly volumes: readonly PlannedVolume[]
  /** imagePullSecrets. Absent where there are none. */
  readonly credentials?: readonly PlannedCredential[]
  /** fsGroup: whose the files of volumes are, but those of the server. Absent: nobody's in particular. */
  readonly fileGroup?: number
  /** supplementalGroups. Absent where there are none. */
  readonly groups?: readonly number[]
  /** shareProcessNamespace. */
  readonly sharesProcesses?: boolean
  /** hostAliases and the pod's own name. */
  readonly hosts: readonly { readonly ip: string; readonly hostnames: readonly string[] }[]
  /** The pod's effective request: max(init, sum(containers and sidecars)). */
  readonly resources: PlannedResources
  /**
   * The text of a job script builder's script, which runs the containers in the place of the backend; these are only
   * told of. It may hold secrets. Absent where the backend runs them.
   */
  readonly script?: string
  /** Names of the devices that the pod's resource claims were allocated. Absent where it has none. */
  readonly claimed?: readonly string[]
  /** What differs from what was asked, where the outcome is at least as safe; told once as events. */
  readonly notices: readonly Notice[]
}

export interface PlannedPod {
  readonly uid: string
  readonly name: string
  readonly namespace: string
  readonly nodeName: string
  readonly hostname: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** What the pod wants of its node, for backends that choose machines. Absent where nothing is asked. */
  readonly nodeSelector?: Readonly<Record<string, string>>
  readonly tolerations?: readonly { readonly key?: string; readonly value?: string }[]
}

export interface PlannedContainer {
  readonly name: string
  /**
   * `init` runs to its end before the next; `sidecar` is an init container with restartPolicy Always; `ephemeral` was
   * added while the job was there, runs once, and is nothing that the pod waits for.
   */
  readonly kind: 'init' | 'sidecar' | 'main' | 'ephemeral'
  /** targetContainerName of an ephemeral container: whose processes it is to see. */
  readonly target?: string
  readonly image: string
  readonly pullPolicy: 'Always' | 'IfNotPresent' | 'Never'
  /** Absent: the image's entrypoint; the image's arguments too unless `args` is given. */
  readonly command?: readonly string[]
  /** Absent with a command: none. */
  readonly args?: readonly string[]
  readonly workingDir?: string
  /** The last one of a name wins. Names need not be shell names; no NUL anywhere. */
  readonly env: readonly { readonly name: string; readonly value: string }[]
  readonly mounts: readonly PlannedMount[]
  readonly limits: {
    readonly cpuMillis?: number
    readonly memoryBytes?: number
    readonly ephemeralBytes?: number
    /** Extended resources. Absent where it has none. */
    readonly extended?: Readonly<Record<string, number>>
  }
  /** Those of the pod's {@link Plan.claimed} that are this container's. Absent where it has none. */
  readonly claimed?: readonly string[]
  /** What of them it was given by name. Absent before its start, and where nobody names them. */
  readonly devices?: readonly PlannedDevice[]
  readonly probes: {
    readonly startup?: PlannedProbe
    readonly liveness?: PlannedProbe
    readonly readiness?: PlannedProbe
  }
  readonly postStart?: PlannedAction
  readonly preStop?: PlannedAction
  /** As `kill -s` takes it: a name without `SIG`, or the number of a real-time signal. */
  readonly stopSignal: string
  readonly terminationMessagePath: string
  readonly terminationMessagePolicy: 'File' | 'FallbackToLogsOnError'
  readonly runAs: {
    readonly user?: number
    readonly group?: number
    /** runAsNonRoot. Absent: it may run as root. */
    readonly nonRoot?: true
  }
  readonly readOnlyRoot: boolean
  readonly stdin: boolean
  /** Standard input ends with the first client that leaves it. */
  readonly stdinOnce?: boolean
  readonly tty: boolean
}

/** A device of the machine that is the container's alone, or a part of it. */
export interface PlannedDevice {
  /** `nvidia.com/mig-1g.5gb`, `xilinx.com/fpga`, … */
  readonly resource: string
  /** Nodes below /dev. */
  readonly paths: readonly string[]
  readonly card: string
  /** The machine or remote that the card is in. */
  readonly host: string
  /** How the card is shared: `whole`, `mig`, … */
  readonly sharing: string
  /** Which part of the card. */
  readonly start: number
  /** Of the function that is given: a virtual one, the user's of an FPGA, else the card. */
  readonly pci?: string
  /** As CUDA names it. */
  readonly uuid?: string
  /** Of a mediated device: its folder in mdev_supported_types. */
  readonly mdevType?: string
}

/** How a registry is told who asks. */
export interface PlannedCredential {
  /** A key of `auths` of a docker config file, as it stands there. */
  readonly match: string
  /** Base64 of `USER:PASSWORD`. */
  readonly auth: string
}

export interface PlannedMount {
  readonly volume: string
  readonly mountPath: string
  /** Relative, without `..`. */
  readonly subPath?: string
  readonly readOnly: boolean
}

export type PlannedVolume =
  | {
      readonly name: string
      readonly kind: 'files'
      readonly files: readonly PlannedFile[]
      readonly secret: boolean
    }
  | {
      readonly name: string
      readonly kind: 'emptyDir'
      readonly memory: boolean
      readonly sizeBytes?: number
    }
  | { readonly name: string; readonly kind: 'hostPath'; readonly path: string; readonly type: string }

export interface PlannedFile {
  /** Relative to the volume's root, without `..`; may have directories. */
  readonly path: string
  readonly mode: number
  readonly base64: string
}

export type PlannedAction =
  | { readonly type: 'exec'; readonly command: readonly string[] }
  | {
      readonly type: 'http'
      readonly scheme: 'http' | 'https'
      readonly host: string
      readonly port: number
      readonly path: string
      readonly headers: readonly { readonly name: string; readonly value: string }[]
    }
  | { readonly type: 'tcp'; readonly host: string; readonly port: number }
  | { readonly type: 'grpc'; readonly port: number; readonly service: string }
  | { readonly type: 'sleep'; readonly seconds: number }

export interface PlannedProbe {
  readonly action: PlannedAction
  readonly initialDelaySeconds: number
  readonly timeoutSeconds: number
  readonly periodSeconds: number
  readonly successThreshold: number
  readonly failureThreshold: number
  readonly terminationGraceSeconds?: number
}

export interface PlannedResources {
  readonly cpuMillis: number
  /** 0: nothing asked. */
  readonly memoryBytes: number
  readonly ephemeralBytes: number
  /** Extended resources (`nvidia.com/gpu`, `xilinx.com/fpga`, …), whole numbers. */
  readonly extended: Readonly<Record<string, number>>
}

export interface Notice {
  readonly reason: string
  readonly message: string
}

/** What cannot be honoured: `field` is the path in the pod, `message` says why and what to do instead. */
export interface Refusal {
  readonly field: string
  readonly message: string
}

export type Compiled = { readonly plan: Plan } | { readonly refusals: readonly Refusal[] }
