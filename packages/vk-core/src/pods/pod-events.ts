/** What a kubelet would say of a pod's life, from one status to the next. */
import type { ContainerStatus, Pod, PodStatusObject } from '@interlink-ts/interlink-api/wire'
import type { EventRecorder } from '../kube/events.ts'
import type { ObjectReference } from '../kube/types.ts'
import type { Missing } from '../model/resolution.ts'

export interface PodTeller {
  tell(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string, fieldPath?: string): void
  /** Pulling, of every container that waits for its image. */
  submitted(pod: Pod): void
  /** Pulled, Created, Started, BackOff and failures of the containers that have changed. */
  changed(pod: Pod, before: PodStatusObject | undefined, after: PodStatusObject): void
  /** Killing, of every container that runs. */
  stopping(pod: Pod): void
  missing(pod: Pod, missing: readonly Missing[]): void
}

export function createPodTeller(recorder: EventRecorder): PodTeller {
  const tell: PodTeller['tell'] = (pod, type, reason, message, fieldPath) =>
    recorder.record(reference(pod, fieldPath), type, reason, message)

  function container(pod: Pod, field: string, before: ContainerStatus | undefined, after: ContainerStatus) {
    const path = `spec.${field}{${after.name}}`
    const begun = after.state?.running ?? after.state?.terminated
    const had = before?.state?.running ?? before?.state?.terminated
    const restarted = (after.restartCount ?? 0) > (before?.restartCount ?? 0) && after.state?.running
    if (begun?.startedAt && (!had || restarted)) {
      tell(pod, 'Normal', 'Pulled', `Container image "${after.image}" already present on machine`, path)
      tell(pod, 'Normal', 'Created', `Created container: ${after.name}`, path)
      tell(pod, 'Normal', 'Started', `Started container ${after.name}`, path)
    }
    const waiting = after.state?.waiting
    if (!waiting || waiting.reason === before?.state?.waiting?.reason) return
    if (waiting.reason === 'CrashLoopBackOff') {
      const { namespace, name, uid } = pod.metadata
      const text = `Back-off restarting failed container ${after.name} in pod ${name}_${namespace}(${uid})`
      tell(pod, 'Warning', 'BackOff', text, path)
    } else if (waiting.reason === 'ImagePullBackOff') {
      tell(pod, 'Normal', 'BackOff', waiting.message || `Back-off pulling image "${after.image}"`, path)
    } else if (/^(Err)?Image|InvalidImage|(Create|Run)ContainerError/.test(waiting.reason ?? '')) {
      tell(pod, 'Warning', 'Failed', `Error: ${waiting.message || waiting.reason}`, path)
    }
  }

  return {
    tell,
    submitted(pod) {
      for (const [field, containers] of fields(pod)) {
        for (const { name, image } of containers) {
          tell(pod, 'Normal', 'Pulling', `Pulling image "${image}"`, `spec.${field}{${name}}`)
        }
      }
    },
    changed(pod, before, after) {
      const lists = [
        ['initContainers', before?.initContainerStatuses, after.initContainerStatuses],
        ['containers', before?.containerStatuses, after.containerStatuses],
        ['ephemeralContainers', before?.ephemeralContainerStatuses, after.ephemeralContainerStatuses]
      ] as const
      for (const [field, old, now] of lists) {
        for (const status of now ?? [])
          container(
            pod,
            field,
            old?.find((one) => one.name === status.name),
            status
          )
      }
    },
    stopping(pod) {
      for (const { name, state } of pod.status?.containerStatuses ?? []) {
        if (state?.running) {
          tell(pod, 'Normal', 'Killing', `Stopping container ${name}`, `spec.containers{${name}}`)
        }
      }
    },
    missing(pod, list) {
      for (const { kind, name, key, use } of list) {
        const text = missingText(kind, name, key)
        const suffix = key === undefined ? 'NotFound' : 'KeyNotFound'
        tell(pod, 'Warning', `Mandatory${kind}${suffix}`, text)
        if (use === 'env') tell(pod, 'Warning', 'Failed', `Error: ${text}`)
        else
          tell(pod, 'Warning', 'FailedMount', `MountVolume.SetUp failed for volume "${use.volume}" : ${text}`)
      }
    }
  }
}

export const missingText = (kind: string, name: string, key: string | undefined) =>
  key === undefined
    ? `${kind.toLowerCase()} "${name}" not found`
    : `couldn't find key ${key} in ${kind} "${name}"`

const fields = (pod: Pod) =>
  [
    ['initContainers', pod.spec.initContainers ?? []],
    ['containers', pod.spec.containers]
  ] as const

const reference = ({ metadata }: Pod, fieldPath?: string): ObjectReference => ({
  apiVersion: 'v1',
  kind: 'Pod',
  name: metadata.name ?? '',
  namespace: metadata.namespace ?? '',
  uid: metadata.uid ?? '',
  ...(fieldPath && { fieldPath })
})
