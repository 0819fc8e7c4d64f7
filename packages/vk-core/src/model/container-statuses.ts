/** One container's status from what the backend says, what the API has, and what a kubelet would fill in. */
import type { Container, ContainerState, ContainerStatus } from '@interlink-ts/interlink-api/wire'
import { wholeSeconds } from './times.ts'

export interface ContainerInput {
  readonly container: Container
  /** The pod's, or the container's own. */
  readonly restartPolicy: string
  /** The backend's word; absent while it says nothing of this container. */
  readonly remote: ContainerStatus | undefined
  /** What the API has. */
  readonly before: ContainerStatus | undefined
  /** Waiting reason of a container that has not been started. */
  readonly waiting: { readonly reason: string; readonly message?: string }
  readonly now: string
}

/** Backends that say little are helped: a missing part keeps what was known, and times are never invented twice. */
export function containerStatus(input: ContainerInput): ContainerStatus {
  const { container, restartPolicy, remote, before, waiting, now } = input
  const state: ContainerState = final(before, restartPolicy) ??
    normalState(remote?.state, before, now) ??
    started(before) ??
    between(before) ?? { waiting }
  const running = state.running !== undefined
  const probed = container.readinessProbe ?? container.startupProbe
  const lastState =
    normalState(remote?.lastState, { name: '', state: before?.lastState }, now) ?? before?.lastState
  return {
    name: container.name,
    state,
    lastState: lastState ?? {},
    // A backend that runs no probes says nothing true of readiness: as for a kubelet, no probe means ready.
    ready: running && (probed ? (remote?.ready ?? before?.ready ?? false) : true),
    started: running && (container.startupProbe ? (remote?.started ?? remote?.ready ?? false) : true),
    restartCount: Math.max(remote?.restartCount ?? 0, before?.restartCount ?? 0),
    image: remote?.image || container.image || '',
    imageID: remote?.imageID || before?.imageID || '',
    ...((remote?.containerID || before?.containerID) && {
      containerID: remote?.containerID || before?.containerID
    })
  }
}

/** Of an init container: ready once it is done. */
export const initReady = (status: ContainerStatus, sidecar: boolean): ContainerStatus =>
  sidecar ? status : { ...status, ready: status.state?.terminated?.exitCode === 0, started: false }

/** The API refuses to let a container that has ended for good come back. */
const final = (before: ContainerStatus | undefined, restartPolicy: string) => {
  const ended = before?.state?.terminated
  const forGood = restartPolicy === 'Never' || (restartPolicy === 'OnFailure' && ended?.exitCode === 0)
  return ended && forGood ? before.state : undefined
}

const started = (status: ContainerStatus | undefined) =>
  status?.state?.running || status?.state?.terminated ? status.state : undefined

/** Waiting to be started again. */
const between = (status: ContainerStatus | undefined) =>
  status?.state?.waiting && status.lastState?.terminated ? status.state : undefined

function normalState(
  state: ContainerState | undefined,
  before: ContainerStatus | undefined,
  now: string
): ContainerState | undefined {
  const known = before?.state
  if (state?.terminated) {
    const { exitCode, signal, reason, message, containerID } = state.terminated
    const finishedAt = wholeSeconds(state.terminated.finishedAt) ?? known?.terminated?.finishedAt ?? now
    const startedAt =
      wholeSeconds(state.terminated.startedAt) ??
      known?.terminated?.startedAt ??
      known?.running?.startedAt ??
      finishedAt
    return {
      terminated: {
        exitCode,
        ...(signal && { signal }),
        reason: reason || (exitCode === 0 ? 'Completed' : 'Error'),
        ...(message && { message }),
        startedAt,
        finishedAt,
        ...(containerID && { containerID })
      }
    }
  }
  if (state?.running) {
    return {
      running: { startedAt: wholeSeconds(state.running.startedAt) ?? known?.running?.startedAt ?? now }
    }
  }
  if (state?.waiting) {
    const { reason, message } = state.waiting
    return { waiting: { reason: reason || 'ContainerCreating', ...(message && { message }) } }
  }
  return undefined
}

/** What a kubelet says of a container that it can no longer find; one that never ran has no start. */
export function vanished(
  status: ContainerStatus,
  reason: string,
  message: string,
  now: string
): ContainerStatus {
  const { running, terminated } = status.state ?? {}
  if (terminated) return status
  const times = { ...(running && { startedAt: running.startedAt }), finishedAt: now }
  return {
    ...status,
    ready: false,
    started: false,
    state: { terminated: { exitCode: 137, reason, message, ...times } }
  }
}
