import type { ContainerState, ContainerStatus, PodStatus } from '@interlink-ts/interlink-api/wire'
import type { BackendState } from '../backend.ts'
import type { Notice, Plan, PlannedContainer } from '../plan/plan.ts'
import type { End } from './job-directory.ts'
import { TOLD_TO_END, type ContainerRecord, type JobState } from './job-state.ts'

/** What is kept of a plan to report its job: no environment, no files. */
export interface Outline {
  readonly uid: string
  readonly name: string
  readonly namespace: string
  readonly nodeName: string
  readonly graceSeconds: number
  readonly restartPolicy: Plan['restartPolicy']
  readonly containers: readonly (Pick<PlannedContainer, 'name' | 'kind' | 'image'> & {
    /** Somebody may attach to its stdin: once, or again and again. */
    readonly stdin?: 'once' | 'always'
    readonly tty?: boolean
  })[]
  readonly notices: readonly Notice[]
}

export const outlineOf = (plan: Plan): Outline => ({
  uid: plan.pod.uid,
  name: plan.pod.name,
  namespace: plan.pod.namespace,
  nodeName: plan.pod.nodeName,
  graceSeconds: plan.graceSeconds,
  restartPolicy: plan.restartPolicy,
  containers: plan.containers.map(({ name, kind, image, stdin, stdinOnce, tty }) => ({
    name,
    kind,
    image,
    ...(stdin && { stdin: stdinOnce ? ('once' as const) : ('always' as const) }),
    ...(tty && { tty })
  })),
  notices: plan.notices
})

/** All that is known of a job at one moment; times are epoch milliseconds. */
export interface JobFacts {
  readonly jobId?: string
  readonly createdAt: number
  readonly state?: JobState
  readonly backend?: BackendState
  /** Why it ended, as the backend said first. */
  readonly end?: End
  /** When the backend was found to have lost the job: no finish record and nothing that could still write one. */
  readonly lostAt?: number
  /** The job has run and waits in the backend's queue to be run again. */
  readonly requeued?: boolean
  /** What was said of the containers so far, newest last. */
  readonly told?: readonly Notice[]
}

const lost = {
  reason: 'NodeLost',
  message: 'the backend has lost the job: it ended without a word and is not started again'
} as const

/**
 * The status of a pod as it is reported. Every container is there, in exactly one state; a terminated one has an
 * exit code, a reason and both times.
 */
export function podStatus(outline: Outline, known: JobFacts): PodStatus {
  const facts = known.requeued ? waitingAgain(outline, known) : known
  const isInit = ({ kind }: Outline['containers'][number]) => kind === 'init' || kind === 'sidecar'
  const initialised = outline.containers
    .filter(isInit)
    .every(({ name, kind }) => isPast(facts.state?.containers.get(name), kind))
  const status = (container: Outline['containers'][number]): ContainerStatus =>
    containerStatus(outline.uid, container, facts, initialised)
  const why = podReason(facts)
  const podIP = facts.state?.podIP ?? facts.backend?.podIP
  const notices = [...outline.notices, ...(facts.told ?? []), ...(facts.backend?.notices ?? [])]
  const ephemeral = outline.containers.filter(isEphemeral)
  return {
    name: outline.name,
    namespace: outline.namespace,
    UID: outline.uid,
    JID: facts.jobId ?? '',
    containers: outline.containers.filter(({ kind }) => kind === 'main').map(status),
    initContainers: outline.containers.filter(isInit).map(status),
    ...(ephemeral.length > 0 ? { ephemeralContainers: ephemeral.map(status) } : {}),
    nodeName: outline.nodeName,
    ...(podIP === undefined ? {} : { podIP }),
    ...(why.reason ? { reason: why.reason } : {}),
    ...(why.message ? { message: why.message } : {}),
    ...(notices.length > 0 ? { notices } : {})
  }
}

const isEphemeral = ({ kind }: Pick<PlannedContainer, 'kind'>): boolean => kind === 'ephemeral'

/** What is said of a pod that is never restarted when its job would be. */
export const requeuedForGood = (backend: BackendState | undefined): BackendState => ({
  phase: 'gone',
  reason: 'Requeued',
  message: `the job was interrupted and went back to the queue; restartPolicy Never: it is not run again${
    backend?.message ? ` (${backend.message})` : ''
  }`
})

/** Why a job is lost: as its backend has it, where it knows. */
const endOf = (backend: BackendState | undefined): { reason: string; message: string } =>
  backend?.phase === 'gone' && backend.reason !== undefined
    ? { reason: backend.reason, message: backend.message ?? lost.message }
    : lost

/** What is said of the containers now: a failed probe or hook, an image that has come. */
export const containerNotices = (state: JobState | undefined): Notice[] => [
  ...[...(state?.containers.values() ?? [])].flatMap(({ notice }) =>
    notice ? [{ reason: notice.reason, message: notice.message }] : []
  ),
  ...[...(state?.images.values() ?? [])].filter(({ reason }) => reason === 'Pulled'),
  ...(state?.notices ?? [])
]

/** Its image is not to be had, or it cannot be made of it. */
const notMade = (state: JobState | undefined, container: string) => {
  const image = state?.images.get(container)
  return image && /^((Err)?Image|CreateContainerError)/.test(image.reason) ? image : undefined
}

/** Whether a container may write to its log again. */
export function mayRun(outline: Outline, state: JobState | undefined, container: string): boolean {
  if (state?.finished) return false
  const record = state?.containers.get(container)
  if (record?.state !== 'terminated') return true
  const kind = outline.containers.find(({ name }) => name === container)?.kind
  if (kind === 'ephemeral') return false
  if (kind === 'sidecar') return true
  const { restartPolicy } = outline
  if (kind === 'main' && restartPolicy === 'Always') return true
  return restartPolicy !== 'Never' && record.exitCode !== 0
}

/** Whether every container has ended, and none is run again. */
export const hasEnded = (outline: Outline, state: JobState | undefined): boolean =>
  outline.containers.every(
    ({ name, kind }) =>
      state?.containers.get(name)?.state === 'terminated' &&
      (kind === 'sidecar' || !mayRun(outline, state, name))
  )

/** Whether the containers after this one may have started. */
const isPast = (record: ContainerRecord | undefined, kind: PlannedContainer['kind']): boolean =>
  kind === 'init'
    ? record?.state === 'terminated' && record.exitCode === 0
    : record?.state === 'running' && record.up

function podReason({ state, backend, lostAt, end }: JobFacts): { reason?: string; message?: string } {
  if (end?.early && (state?.finished || lostAt !== undefined)) return end
  const why = backend?.phase === 'gone' && backend.reason !== undefined ? backend : undefined
  if (state?.finished) return state.finished.reason === TOLD_TO_END && why ? why : state.finished
  if (lostAt !== undefined) return endOf(backend)
  // The files are ahead of the backend's last look: a queue that a container has come out of is no reason for anything.
  const begun = [...(state?.containers.values() ?? [])].some((record) => record.state !== 'waiting')
  return backend?.phase === 'queued' && !begun ? backend : {}
}

function containerStatus(
  uid: string,
  { name, kind, image }: Outline['containers'][number],
  facts: JobFacts,
  initialised: boolean
): ContainerStatus {
  const record = facts.state?.containers.get(name)
  const restarts = record?.restarts ?? 0
  const id = (attempt: number) => `interlink://${uid}/${name}/${attempt}`
  const state = containerState({ name, kind }, facts, initialised, id(restarts))
  const last = record?.last
  return {
    name,
    image,
    imageID: image,
    restartCount: restarts,
    ready: state.running !== undefined && (record?.ready ?? false),
    started: state.running !== undefined && (record?.up ?? false),
    state,
    ...(last
      ? {
          lastState: terminated(
            last,
            id(state.waiting ? restarts : Math.max(0, restarts - 1)),
            facts.createdAt
          )
        }
      : {}),
    ...(state.waiting ? {} : { containerID: id(restarts) })
  }
}

/**
 * A job that went back to the queue: its containers wait, and what ran before is their last state. Ephemeral ones are
 * not started again.
 */
function waitingAgain(outline: Outline, facts: JobFacts): JobFacts {
  if (!facts.state) return facts
  const { finished: _, ...state } = facts.state
  const message = facts.backend?.message ?? 'the job went back to the queue'
  const ephemeral = new Set(outline.containers.filter(isEphemeral).map(({ name }) => name))
  const containers = new Map(
    [...state.containers].map(([name, record]): [string, ContainerRecord] => {
      if (record.state === 'waiting') return [name, record]
      const cut = { ...record, exitCode: 137, reason: 'ContainerStatusUnknown', message }
      if (ephemeral.has(name))
        return [name, record.state === 'running' ? { ...cut, state: 'terminated' } : record]
      const last = { ...(record.state === 'running' ? cut : record), exitCode: record.exitCode ?? 137 }
      return [name, { state: 'waiting', restarts: record.restarts, ready: false, up: false, last }]
    })
  )
  return { ...facts, state: { ...state, containers } }
}

function containerState(
  { name, kind }: Pick<PlannedContainer, 'name' | 'kind'>,
  facts: JobFacts,
  initialised: boolean,
  containerID: string
): ContainerState {
  const { state, backend, createdAt, lostAt } = facts
  const record = state?.containers.get(name)
  if (record?.state === 'terminated') {
    const seen = isOfMemory(record, facts) ? { ...record, reason: 'OOMKilled' } : record
    return terminated(seen, containerID, createdAt)
  }
  const ended = state?.finished?.at ?? lostAt
  if (lostAt !== undefined || (ended !== undefined && record?.state === 'running')) {
    const startedAt = record?.startedAt
    return terminated(
      {
        exitCode: 137,
        reason: backend?.reason === 'OOMKilled' ? 'OOMKilled' : 'ContainerStatusUnknown',
        message: endOf(backend).message,
        startedAt,
        finishedAt: ended
      },
      containerID,
      createdAt
    )
  }
  if (record?.state === 'running') return { running: { startedAt: time(record.startedAt ?? createdAt) } }
  const waits = kind === 'main' && !initialised ? 'PodInitializing' : 'ContainerCreating'
  const image = notMade(state, name)
  if (image && (record === undefined || record.reason === 'ContainerCreating')) return { waiting: image }
  const message = record?.message ?? (facts.backend?.phase === 'queued' ? facts.backend.message : undefined)
  return { waiting: { reason: record?.reason ?? waits, ...(message ? { message } : {}) } }
}

/** Whether it was ended together with its job, whose memory its backend found too little. */
const isOfMemory = ({ reason, signal, finishedAt }: ContainerRecord, { state, backend }: JobFacts): boolean =>
  reason === 'Error' &&
  signal !== undefined &&
  backend?.reason === 'OOMKilled' &&
  (finishedAt ?? 0) >= (state?.supervisor?.toldAt ?? Infinity)

function terminated(
  record: Pick<ContainerRecord, 'exitCode' | 'signal' | 'reason' | 'message' | 'startedAt' | 'finishedAt'>,
  containerID: string,
  createdAt: number
): ContainerState {
  const exitCode = record.exitCode ?? 137
  const finishedAt = record.finishedAt ?? record.startedAt ?? createdAt
  return {
    terminated: {
      exitCode,
      reason: record.reason ?? (exitCode === 0 ? 'Completed' : 'Error'),
      ...(record.signal ? { signal: record.signal } : {}),
      ...(record.message ? { message: record.message } : {}),
      startedAt: time(record.startedAt ?? finishedAt),
      finishedAt: time(finishedAt),
      containerID
    }
  }
}

/** metav1.Time has whole seconds. */
const time = (epochMs: number): string => `${new Date(epochMs).toISOString().slice(0, 19)}Z`
