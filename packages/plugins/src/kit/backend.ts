/**
 * What a backend author implements. The kit does the rest: the protocol, the plan, the job directory,
 * idempotence, the status cache, watch and logs.
 */
import type { Duplex, Readable, Writable } from 'node:stream'
import type { TSchema } from 'typebox'
import type { TerminalSize } from '@interlink-ts/interlink-api/streams'
import type { DeviceOffer, PingResponse } from '@interlink-ts/interlink-api/wire'
import type { Card } from './devices/card.ts'
import type { Notice, Plan, PlannedContainer, Refusal } from './plan/plan.ts'
import type { SitePolicy } from './plan/policy.ts'

/** A job as the kit hands it to a backend. The directory holds everything the supervisor needs. */
export interface Job {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  /** Absolute; `<root>/<namespace>-<uid>`, mode 0700. */
  readonly dir: string
  readonly plan: Plan
}

/** A job the backend has taken; `jobId` is what users see as the pod's job id. */
export interface SubmittedJob {
  readonly uid: string
  readonly jobId: string
  readonly dir: string
  /** Its supervisor has been seen. */
  readonly begun?: boolean
}

export interface Variable {
  readonly name: string
  readonly value: string
}

/** How one container is run: argv vectors, never shell text. */
export interface Launch {
  /** Starts the container in the foreground, with stdin, stdout and stderr as given. */
  readonly run: readonly string[]
  /**
   * Prefixes under which both begin, in the machine's own environment, before the container's is set: they prepare
   * or enter the instance (namespaces, mounts) and execute their arguments in the same process. What follows them
   * must still find the job directory.
   */
  readonly outer?: {
    readonly start: readonly string[]
    readonly enter: readonly string[]
    /**
     * `start` says by the file `run/<container>.made` of the job directory that the container is there. Until then it
     * is waiting, no probe or hook runs, and its end is TERM to the whole group. @default it is there at once
     */
    readonly announces?: boolean
  }
  /** Prefix that runs a further command inside the running instance (probes, hooks, later exec). */
  readonly enter: readonly string[]
  /**
   * For a runtime in front of the container: what is added to the machine's own environment for `run` and `enter`,
   * in the place of the container's, which the runtime then sets itself. So nothing a pod says, such as LD_PRELOAD,
   * steers a program of the machine. Absent: the container's environment, exactly.
   */
  readonly toolEnvironment?: readonly Variable[]
  /** Further private files of the container, below its folder `c/<container>/` of the job directory. */
  readonly files?: readonly { readonly name: string; readonly text: string }[]
  /** Absolute directory where both start, made by whoever renders it. @default / */
  readonly cwd?: string
  /**
   * What both become, where the supervisor is root: numbers of user and groups. Without `group` it is the user's own, by
   * the /etc/passwd that is there, else 0. @default they stay what the supervisor is
   */
  readonly account?: { readonly user: number; readonly group?: number; readonly groups: readonly number[] }
  /** Who gets the stop signal: the process group, or the child of a runtime that would not pass it on. @default group */
  readonly signalled?: 'group' | 'child'
  /** Where the volume directories and files of the job appear, when not by the argv itself: none by default. */
  readonly notices?: readonly Notice[]
}

/** How a backend would run a plan; what it cannot do is a refusal that names the pod's field. */
export type Rendered =
  | {
      readonly launches: Readonly<Record<string, Launch>>
      readonly notices: readonly Notice[]
      /** Variables of the machine that the job hands on to its launches; see RenderOptions. */
      readonly inherit?: readonly string[]
      /** The job directory as the machine that runs the job sees it. @default as the plugin does */
      readonly seenAs?: string
      /** What the backend itself is given, for `interlink render`; it holds no secret. */
      readonly shown?: readonly { readonly title: string; readonly text: string }[]
    }
  | { readonly refusals: readonly Refusal[] }

/** What the backend itself says of a job; the supervisor's files say the rest. */
export interface BackendState {
  /** `queued`: not started. `active`: started. `gone`: ended or unknown to the backend. */
  readonly phase: 'queued' | 'active' | 'gone'
  readonly reason?: string
  readonly message?: string
  /** When it ended, where the backend knows; epoch ms. */
  readonly endedAt?: number
  /** Why the job is being ended before its time: that is then the reason of the pod, whatever the job says itself. */
  readonly taken?: Notice
  /** For the events of the pod. */
  readonly notices?: readonly Notice[]
  /**
   * The address of the machine whose network it has, where the backend knows it. One of its own is kept in the job
   * directory, before the end of the pod is: see `writeAddress`.
   */
  readonly podIP?: string
}

/** A job that bears the mark of this root. */
export interface HeldJob {
  readonly uid: string
  readonly jobId: string
}

export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
  /** How to mend it, for `interlink doctor`. */
  readonly fix?: string
}

/** A process in a container, as `exec` and `attach` see it. */
export interface ContainerProcess {
  /** Absent where no stdin was asked for. `end()` is its end of file. */
  readonly stdin?: Writable
  readonly stdout: Readable
  /** Absent with a terminal. */
  readonly stderr?: Readable
  /** Of a terminal. */
  resize?(size: TerminalSize): void
  /** Its exit code, or 128 and the number of the signal; fails where that cannot be known. */
  readonly exit: Promise<number>
}

interface SessionOptions {
  readonly container: string
  readonly stdin: boolean
  readonly tty: boolean
  /** Aborted when the caller has gone: what was started for it ends. */
  readonly signal: AbortSignal
}

export interface ExecOptions extends SessionOptions {
  readonly command: readonly string[]
}

/** `stdin` and `tty` are what both the caller and the container ask for. */
export interface AttachOptions extends SessionOptions {
  /** The end of the caller's stdin is that of the container's. */
  readonly stdinOnce: boolean
  /** Of the container's restarts; the first one is 0. */
  readonly attempt: number
  /** Whether that attempt goes on. */
  isRunning(): boolean
}

/**
 * What a backend offers of exec, attach and port-forward; what is absent is answered with Not Implemented. Each is
 * called for a job that runs, exec and attach for a container that does. They reach the instance that is there,
 * never a second one, and reject with a {@link PluginError} that says what to do.
 */
export interface Streams {
  exec?(job: SubmittedJob, options: ExecOptions): Promise<ContainerProcess>
  /** The container's first process, which `signal` leaves alone. `exit` is the end of its output, with code 0. */
  attach?(job: SubmittedJob, options: AttachOptions): Promise<ContainerProcess>
  /** A connection to a port on the loopback of the job's network; `end()` is a half-close. */
  portForward?(job: SubmittedJob, port: number, signal: AbortSignal): Promise<Duplex>
}

/** CPU time since a container's start in seconds, and resident memory in bytes. */
export interface ContainerUsage {
  readonly name: string
  readonly cpuSeconds: number
  readonly memoryBytes: number
}

/** Of the containers of one job, at one moment: epoch ms. */
export interface Usage {
  readonly at: number
  readonly containers: readonly ContainerUsage[]
}

export interface Backend {
  readonly name: string
  /** Makes job directories of what another plugin has left, once, before the root is read. Optional. */
  adopt?(): Promise<void>
  /** What `check` and `doctor` look for; never throws. */
  check(): Promise<readonly Check[]>
  /**
   * Fails, with words what to do, where no pod could be run at all. `interlink up` asks before it registers a node;
   * a plugin that is a service starts anyway, as what is missing may come.
   */
  preflight?(): Promise<void>
  /** Pure but for facts gathered before (which tools the machine has). Also what `interlink render` shows. */
  render(plan: Plan, dir: string): Promise<Rendered>
  /** Hands a prepared job directory over. Must be safe to call again after a crash: `find` is asked first. */
  submit(job: Job): Promise<{ readonly jobId: string }>
  /** The job of this directory if the backend has it already (after a crash between submit and its record). */
  find(job: Job): Promise<{ readonly jobId: string } | undefined>
  /** One question for all jobs, which may be none. A job that is missing in the answer is taken as `gone`. */
  list(jobs: readonly SubmittedJob[]): Promise<ReadonlyMap<string, BackendState>>
  /**
   * Called once, before the first `list`: the backend calls `wake` when it knows by itself that something has changed,
   * and `changed` is asked at once. Optional, with `changed`.
   */
  onChange?(wake: () => void): void
  /**
   * What is new of jobs since the last answer, by UID, without a question for all of them; never at the same time as
   * `list`. `jobOf` gives the job of a UID, unless nobody is interested in it.
   */
  changed?(jobOf: (uid: string) => SubmittedJob | undefined): Promise<ReadonlyMap<string, BackendState>>
  /** Asks the job to end: TERM, grace, KILL. Idempotent; resolves when the wish is with the backend. */
  cancel(job: SubmittedJob, graceSeconds: number): Promise<void>
  /**
   * Jobs of this root that have not ended, as the last `list` saw them: what is none of the kit's is an orphan.
   * Optional, with `abandon`: only for who can tell its jobs from those of any other root.
   */
  held?(): readonly HeldJob[]
  /** Ends a job that has no directory. Idempotent. */
  abandon?(job: HeldJob): Promise<void>
  /** Ends what the backend holds for a finished job (mounts, scratch). Optional. */
  release?(job: SubmittedJob): Promise<void>
  /**
   * Makes the files of a container that joins a job visible where that runs: the plan of `addition` has it alone, its
   * files lie in the job's directory. The supervisor starts it once its name stands in the file `additions` there, which
   * the kit writes into the plugin's directory after this. Safe to call again. Optional: what takes no ephemeral
   * containers has none.
   */
  add?(job: SubmittedJob, addition: Job): Promise<void>
  /** What the backend honours beyond what every one does; what it does not is told as a notice. Asked at start. */
  honours?(): Promise<Partial<SitePolicy['backend']>>
  /**
   * Resources, taints and queues for the ping; absent fields leave the node's configuration. Asked once at start and
   * by every ping, which waits for it: what takes time is asked for in the background.
   */
  resources?(): Promise<Pick<PingResponse, 'resources' | 'taints' | 'queues' | 'streams'>>
  /** Optional: what of kubectl's streams reaches the containers. */
  readonly streams?: Streams
  /** Devices for resource claims, which its pods then have by name. Optional: what has none lends none by claims. */
  offeredDevices?(): DeviceOffer
  /** Why it could never give this card to a container, and what to do. Only of a backend that takes devices. Optional. */
  refuseCard?(card: Card): string | undefined
  /** The machines or remotes that a pod may have devices of. Only of a backend that has several. Optional. */
  hostsFor?(plan: Plan): readonly string[]
  /**
   * The ids of those of these cards that are not there at the moment, or cannot be reached. Only of a backend that
   * takes devices. Optional; never fails.
   */
  away?(cards: readonly Card[]): Promise<ReadonlySet<string>>
  /** What the containers of these jobs use, by UID; those of a job that is missing are not measured. Optional. */
  usage?(jobs: readonly SubmittedJob[]): Promise<ReadonlyMap<string, Usage>>
  /** Gives up connections; nothing is asked of it afterwards. */
  close?(): Promise<void>
}

/** A backend with its configuration schema, as the command and the kit find it. */
export interface BackendModule {
  readonly name: string
  /** TypeBox schema of the backend's own section of the plugin configuration; defaults included. */
  readonly options: TSchema
  /** Its containers get the `devices` of the plan, so that a plugin can lend some. @default false */
  readonly takesDevices?: boolean
  create(options: unknown, context: BackendContext): Backend
}

export interface BackendContext {
  /** Absolute root of the job directories, mode 0700. */
  readonly root: string
  readonly log: {
    debug(fields: object, message: string): void
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
    error(fields: object, message: string): void
  }
}

export type { Plan, PlannedContainer, TerminalSize }
