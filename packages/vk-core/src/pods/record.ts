/** All that is known of one pod. Its UID is its name here: a pod that is made anew under the same name is another. */
import type { Pod, PodStatus } from '@interlink-ts/interlink-api/wire'
import type { Owner } from '../kube/object-cache.ts'
import type { Verdict, Waiting } from '../model/pod-status.ts'
import type { PodEvent } from './types.ts'

/**
 * `unknown`: the backend must be asked, somebody may have submitted the pod before this process began.
 * `absent`: the backend has no job, and none was asked for. `unclear`: a create has ended without a word.
 * `submitted`: the backend has, or had, a job.
 */
export type JobState = 'unknown' | 'absent' | 'unclear' | 'submitted'

export interface PodRecord extends Owner {
  readonly uid: string
  /** The newest from the API, our own writes included. */
  pod: Pod
  /** No longer in the API. */
  vanished: boolean
  job: JobState
  jobId: string | undefined
  /** The backend's newest word. */
  remote: PodStatus | undefined
  verdict: Verdict | undefined
  waiting: Waiting | undefined
  /** Since when the backend does not name the job, in milliseconds. */
  missingSince: number | undefined
  /** What the failed create said. */
  createError: string | undefined
  /** Smallest grace period that the backend has been asked to stop with. */
  stopAsked: number | undefined
  /** When that was, in milliseconds. */
  stopAskedAt: number
  /** The backend has nothing running of the pod. */
  stopped: boolean
  /** RFC 3339: when this node first saw the pod. */
  readonly seenAt: string
  /** The pod was there before this process: what is said of its past has been told already. */
  readonly inherited: boolean
  /** Ephemeral containers that the backend will start. */
  readonly added: Set<string>
  /** Those that it will not, or not yet, and why. */
  readonly notAdded: Map<string, Waiting>
  /** Notices that have been told. */
  readonly told: Set<string>
  readonly events: PodEvent[]
}

/** The reference's annotation with the backend's job id; presence means submitted. */
export const jobIdAnnotation = 'JobID'

export const describePod = ({ metadata: { namespace, name, uid } }: Pod) => ({
  pod: `${namespace}/${name}`,
  uid
})

export const podPath = ({ metadata: { namespace, name } }: Pod) =>
  `/api/v1/namespaces/${namespace}/pods/${encodeURIComponent(name ?? '')}`

/** Static pods belong to a kubelet's own files; their mirror in the API is not for us to run. */
export const isMirror = (pod: Pod) => pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined

export const ownedByDaemonSet = (pod: Pod) =>
  (pod.metadata.ownerReferences ?? []).some(
    (owner) => owner.kind === 'DaemonSet' && owner.controller === true
  )

/** Every container that the backend speaks of has ended. */
export function allEnded(remote: PodStatus | undefined): boolean {
  const { initContainers = [], containers: main = [], ephemeralContainers = [] } = remote ?? {}
  const containers = [...initContainers, ...main, ...ephemeralContainers]
  return containers.length > 0 && !containers.some(({ state }) => state?.running || !state?.terminated)
}
