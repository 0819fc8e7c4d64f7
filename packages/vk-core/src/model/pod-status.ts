/** The whole status of a pod, computed from scratch each time: what the API should have now. */
import type {
  Container,
  ContainerStatus,
  Pod,
  PodStatus as RemoteStatus,
  PodStatusObject
} from '@interlink-ts/interlink-api/wire'
import { computeConditions } from './conditions.ts'
import { containerStatus, initReady, vanished } from './container-statuses.ts'
import { computePhase, isSidecar, isTerminal, type Phase } from './phase.ts'
import { qosClass } from './qos.ts'

export interface PodStatusInput {
  /** As the API has it. */
  readonly pod: Pod
  readonly remote: RemoteStatus | undefined
  /** A final word of the node: refused, lost, past its deadline. Containers that have not ended are ended by it. */
  readonly verdict?: Verdict
  /** Why the pod is not with the backend yet, or not yet started there. */
  readonly waiting?: Waiting
  /** Why ephemeral containers do not start, by name. */
  readonly notAdded?: ReadonlyMap<string, Waiting>
  /** The pod is being deleted and the backend has stopped. */
  readonly stopped: boolean
  /** The backend restarts containers by policy. Those of the reference do not: what ended has ended for good. */
  readonly restarts: boolean
  readonly hostIP: string
  /** Unless the backend or an annotation names another. */
  readonly podIP: string
  /** RFC 3339, whole seconds. */
  readonly startTime: string
  readonly now: string
}

export interface Verdict {
  readonly reason: string
  readonly message: string
  /** Reason of containers that had not ended. @default the verdict's */
  readonly containerReason?: string
}

export interface Waiting {
  readonly reason: string
  readonly message?: string
  /** Set when one container alone is to blame. */
  readonly container?: string
}

/** Annotation with the address that a user, or a tunnel, has given the pod. */
export const podIpAnnotation = 'interlink.eu/pod-ip'

const creating: Waiting = { reason: 'ContainerCreating' }

export function computePodStatus(input: PodStatusInput): PodStatusObject {
  const { pod, remote, verdict, now } = input
  const old = pod.status
  const init = statuses(
    input,
    pod.spec.initContainers ?? [],
    remote?.initContainers,
    old?.initContainerStatuses,
    true
  )
  const main = statuses(input, pod.spec.containers, remote?.containers, old?.containerStatuses, false)
  const all = [...init.values(), ...main.values()]
  const jobEnded = remote !== undefined && ended(pod, main, init, remote)
  const disrupted = jobEnded && remote.reason !== undefined && remote.reason !== 'Completed'
  const ephemeral = ephemeralStatuses(input)
  const everStarted = old?.phase === 'Running' || [...main.values()].some((one) => one.state?.running)
  const ownPhase: Phase =
    verdict || disrupted
      ? 'Failed'
      : computePhase({
          spec: pod.spec,
          init,
          main,
          ending: input.stopped || (jobEnded && !input.restarts),
          initialized: everStarted
        })
  // As with a kubelet: it has not ended while something of it runs.
  const phase = isTerminal(ownPhase) && ephemeral.some((one) => one.state?.running) ? 'Running' : ownPhase
  const sandbox = !isTerminal(phase) && all.some((one) => one.state?.running || one.state?.terminated)
  const podIP = sandbox || isTerminal(phase) ? (remote?.podIP ?? address(input)) : undefined
  const reason = verdict?.reason ?? (phase === 'Running' ? undefined : remote?.reason)
  const message = verdict?.message ?? (phase === 'Running' ? undefined : remote?.message)
  const generation = pod.metadata.generation
  return {
    phase,
    reason: reason ?? (phase === 'Pending' ? input.waiting?.reason : undefined),
    message: message ?? (phase === 'Pending' ? input.waiting?.message : undefined),
    hostIP: input.hostIP,
    hostIPs: [{ ip: input.hostIP }],
    ...(podIP && { podIP, podIPs: [{ ip: podIP }] }),
    startTime: old?.startTime ?? input.startTime,
    qosClass: old?.qosClass ?? qosClass(pod.spec),
    ...(generation !== undefined && { observedGeneration: generation }),
    conditions: [
      ...computeConditions({ pod, phase, init, main, sandbox, waiting: remote ?? {}, now }),
      ...disruption(pod, phase, reason, message, now)
    ],
    ...(init.size > 0 && { initContainerStatuses: [...init.values()] }),
    containerStatuses: [...main.values()],
    ...(ephemeral.length > 0 && { ephemeralContainerStatuses: ephemeral })
  }
}

/** The address that fieldRef status.podIP shows before the backend has said anything. */
export const address = ({ pod, podIP }: Pick<PodStatusInput, 'pod' | 'podIP'>) =>
  pod.metadata.annotations?.[podIpAnnotation] || podIP

function statuses(
  input: PodStatusInput,
  containers: readonly Container[],
  remote: readonly ContainerStatus[] | undefined,
  before: readonly ContainerStatus[] | undefined,
  init: boolean
): Map<string, ContainerStatus> {
  const reported = new Map((remote ?? []).map((one) => [one.name, one]))
  const known = new Map((before ?? []).map((one) => [one.name, one]))
  const initializing = !init && (input.pod.spec.initContainers?.length ?? 0) > 0
  const result = new Map<string, ContainerStatus>()
  for (const container of containers) {
    const { name } = container
    const blamed = input.waiting && (input.waiting.container ?? name) === name ? input.waiting : undefined
    const waiting = blamed ?? (initializing || init ? { reason: 'PodInitializing' } : creating)
    let status = containerStatus({
      container,
      restartPolicy: restartPolicyOf(input.pod, container, init),
      remote: reported.get(name),
      before: known.get(name),
      waiting: { reason: waiting.reason, ...(waiting.message && { message: waiting.message }) },
      now: input.now
    })
    if (init) status = initReady(status, isSidecar(container))
    result.set(name, settle(input, status))
  }
  return result
}

/** Ephemeral containers run once, and are nothing that the pod waits for. */
function ephemeralStatuses(input: PodStatusInput): ContainerStatus[] {
  const { pod, remote, notAdded, now } = input
  return (pod.spec.ephemeralContainers ?? []).map((container) => {
    const { reason, message } = notAdded?.get(container.name) ?? creating
    const status = containerStatus({
      container,
      restartPolicy: 'Never',
      remote: remote?.ephemeralContainers?.find((one) => one.name === container.name),
      before: pod.status?.ephemeralContainerStatuses?.find((one) => one.name === container.name),
      waiting: { reason, ...(message && { message }) },
      now
    })
    return settle(input, { ...status, ready: false, started: false })
  })
}

/** An init container that has succeeded is not run again, whatever the pod's policy. */
function restartPolicyOf(pod: Pod, container: Container, init: boolean) {
  const policy = container.restartPolicy ?? pod.spec.restartPolicy ?? 'Always'
  return init && !isSidecar(container) && policy === 'Always' ? 'OnFailure' : policy
}

function settle({ verdict, stopped, now }: PodStatusInput, status: ContainerStatus): ContainerStatus {
  if (verdict) return vanished(status, verdict.containerReason ?? verdict.reason, verdict.message, now)
  if (!stopped || status.state?.terminated) return status
  const gone = 'The container could not be located when the pod was deleted'
  return vanished(status, 'ContainerStatusUnknown', gone, now)
}

/** Every main container has ended, or an init container has failed for good, so that none will start. */
function ended(
  pod: Pod,
  main: ReadonlyMap<string, ContainerStatus>,
  init: ReadonlyMap<string, ContainerStatus>,
  remote: RemoteStatus
) {
  if (remote.containers.length === 0 && remote.initContainers.length === 0) return false
  if ([...main.values()].every((one) => one.state?.terminated)) return true
  const nothingRuns = ![...main.values(), ...init.values()].some((one) => one.state?.running)
  const failed = (pod.spec.initContainers ?? []).some(
    (one) => !isSidecar(one) && (init.get(one.name)?.state?.terminated?.exitCode ?? 0) !== 0
  )
  return nothingRuns && failed && pod.spec.restartPolicy === 'Never'
}

/** Jobs that were taken away by the site are no failure of the program: podFailurePolicy asks for this condition. */
const disruptions = new Set([
  'Preempted',
  'PREEMPTED',
  'NodeFail',
  'NODE_FAIL',
  'Evicted',
  'NodeLost',
  'Requeued'
])

function disruption(
  pod: Pod,
  phase: Phase,
  reason: string | undefined,
  message: string | undefined,
  now: string
) {
  const type = 'DisruptionTarget'
  if (phase !== 'Failed' || reason === undefined || !disruptions.has(reason)) return []
  const old = pod.status?.conditions?.find((one) => one.type === type && one.status === 'True')
  if (old) return [old]
  const generation = pod.metadata.generation
  return [
    {
      type,
      status: 'True',
      reason: 'TerminationByKubelet',
      message: message ?? reason,
      lastTransitionTime: now,
      ...(generation !== undefined && { observedGeneration: generation })
    }
  ]
}
