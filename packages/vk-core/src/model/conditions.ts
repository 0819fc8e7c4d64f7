/** The five conditions that a kubelet owns. Source: kubelet, `status/generate.go` (v1.35). */
import type { ContainerStatus, Pod, PodCondition } from '@interlink-ts/interlink-api/wire'
import { isSidecar, type Phase } from './phase.ts'

export interface ConditionsInput {
  readonly pod: Pod
  readonly phase: Phase
  readonly init: ReadonlyMap<string, ContainerStatus>
  readonly main: ReadonlyMap<string, ContainerStatus>
  /** The backend has started something of the pod, and it has not ended. */
  readonly sandbox: boolean
  /** Why it has not, as the backend has it. */
  readonly waiting?: { readonly reason?: string | undefined; readonly message?: string | undefined }
  /** RFC 3339, for what changes now. */
  readonly now: string
}

type Verdict = Pick<PodCondition, 'status' | 'reason' | 'message'>

const yes: Verdict = { status: 'True' }
const no = (reason: string, message?: string): Verdict => ({
  status: 'False',
  reason,
  ...(message && { message })
})

/** A condition that says the same as before keeps its lastTransitionTime. Conditions of others are not listed. */
export function computeConditions(input: ConditionsInput): PodCondition[] {
  const { pod, now } = input
  const before = new Map((pod.status?.conditions ?? []).map((one) => [one.type, one]))
  const containersReady = readyContainers(input)
  const verdicts: [string, Verdict][] = [
    ['PodReadyToStartContainers', started(input)],
    ['Initialized', initialized(input)],
    ['Ready', ready(input, containersReady)],
    ['ContainersReady', containersReady],
    ['PodScheduled', yes]
  ]
  return verdicts.map(([type, verdict]) => {
    const old = before.get(type)
    const kept = old?.status === verdict.status ? old.lastTransitionTime : undefined
    return {
      type,
      ...verdict,
      lastTransitionTime: kept ?? now,
      ...(pod.metadata.generation !== undefined && { observedGeneration: pod.metadata.generation })
    }
  })
}

function started({ sandbox, phase, waiting }: ConditionsInput): Verdict {
  if (sandbox) return yes
  const reason = phase === 'Pending' ? waiting?.reason : undefined
  return reason ? no(reason, waiting?.message) : { status: 'False' }
}

function initialized({ pod, phase, init }: ConditionsInput): Verdict {
  const containers = pod.spec.initContainers ?? []
  if (containers.length === 0) return yes
  const incomplete: string[] = []
  const unknown: string[] = []
  for (const container of containers) {
    const status = init.get(container.name)
    if (!status) unknown.push(container.name)
    else if (isSidecar(container) ? !status.started : !(status.state?.terminated?.exitCode === 0)) {
      incomplete.push(container.name)
    }
  }
  if (phase === 'Succeeded' && unknown.length === 0) return { status: 'True', reason: 'PodCompleted' }
  // Sidecars of a pod that ran have been started once, also when they have ended since.
  if (phase === 'Running' || incomplete.length + unknown.length === 0) return yes
  return no('ContainersNotInitialized', describe(unknown, 'unknown', incomplete, 'incomplete'))
}

function readyContainers({ pod, phase, init, main }: ConditionsInput): Verdict {
  if (phase === 'Succeeded') return no('PodCompleted')
  if (phase === 'Failed') return no('PodFailed')
  const unknown: string[] = []
  const unready: string[] = []
  const look = (name: string, status: ContainerStatus | undefined) => {
    if (!status) unknown.push(name)
    else if (!status.ready) unready.push(name)
  }
  for (const one of (pod.spec.initContainers ?? []).filter(isSidecar)) look(one.name, init.get(one.name))
  for (const one of pod.spec.containers) look(one.name, main.get(one.name))
  if (unknown.length + unready.length === 0) return yes
  return no('ContainersNotReady', describe(unknown, 'unknown', unready, 'unready'))
}

function ready({ pod }: ConditionsInput, containersReady: Verdict): Verdict {
  if (containersReady.status !== 'True') return containersReady
  const gates = (pod.spec as { readinessGates?: { conditionType: string }[] }).readinessGates ?? []
  const problems = gates.flatMap(({ conditionType: type }) => {
    const condition = pod.status?.conditions?.find((one) => one.type === type)
    if (!condition) return [`corresponding condition of pod readiness gate "${type}" does not exist.`]
    if (condition.status === 'True') return []
    return [`the status of pod readiness gate "${type}" is not "True", but ${condition.status}`]
  })
  return problems.length === 0 ? yes : no('ReadinessGatesNotReady', problems.join(', '))
}

function describe(unknown: string[], unknownName: string, other: string[], otherName: string) {
  const part = (names: string[], what: string) =>
    names.length > 0 ? [`containers with ${what} status: [${names.join(' ')}]`] : []
  return [...part(unknown, unknownName), ...part(other, otherName)].join(', ')
}
