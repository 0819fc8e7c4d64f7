/** The pod's phase from its container statuses. Source: kubelet, `getPhase` (v1.35). */
import type { Container, ContainerStatus, PodSpec } from '@interlink-ts/interlink-api/wire'

export type Phase = 'Pending' | 'Running' | 'Succeeded' | 'Failed'

export const isSidecar = (container: Container) => container.restartPolicy === 'Always'
export const isTerminal = (phase: string | undefined) => phase === 'Succeeded' || phase === 'Failed'

export interface PhaseInput {
  readonly spec: PodSpec
  readonly init: ReadonlyMap<string, ContainerStatus>
  readonly main: ReadonlyMap<string, ContainerStatus>
  /** Nothing of the pod will be started again: it is being deleted, or its job has ended. */
  readonly ending: boolean
  /** The regular containers have been started once. */
  readonly initialized: boolean
}

export function computePhase({ spec, init, main, ending, initialized }: PhaseInput): Phase {
  const inits = spec.initContainers ?? []
  let pendingInit = 0
  let failedInit = 0
  for (const container of inits.filter((one) => !isSidecar(one))) {
    const { state, lastState } = init.get(container.name) ?? {}
    const ended = state?.terminated ?? (state?.waiting && lastState?.terminated)
    if (!ended) pendingInit++
    else if (ended.exitCode !== 0) failedInit++
  }

  const count = { unknown: 0, running: 0, waiting: 0, stopped: 0, succeeded: 0 }
  let pendingSidecars = 0
  for (const container of inits.filter(isSidecar)) {
    const { state, lastState, started } = init.get(container.name) ?? {}
    if (state?.running) {
      count.running++
      if (!started) pendingSidecars++
    } else if (state?.waiting) {
      if (!lastState?.terminated) {
        pendingSidecars++
        count.waiting++
      }
    } else if (!state?.terminated) {
      pendingSidecars++
      count.unknown++
    }
  }
  for (const container of spec.containers) {
    const { state, lastState } = main.get(container.name) ?? {}
    if (state?.running) count.running++
    else if (state?.terminated) {
      count.stopped++
      if (state.terminated.exitCode === 0) count.succeeded++
    } else if (state?.waiting) {
      if (lastState?.terminated) count.stopped++
      else count.waiting++
    } else count.unknown++
  }

  if (failedInit > 0 && (spec.restartPolicy === 'Never' || ending)) return 'Failed'
  // Once the pod has run, a sidecar that is being restarted does not make it pending again.
  if (pendingInit > 0 || failedInit > 0 || (pendingSidecars > 0 && !initialized) || count.waiting > 0)
    return 'Pending'
  if (count.running > 0 && count.unknown === 0) return 'Running'
  if (count.running > 0 || count.stopped === 0 || count.unknown > 0) return 'Pending'
  if (ending) return count.stopped === count.succeeded ? 'Succeeded' : 'Failed'
  if (spec.restartPolicy === 'Always' || spec.restartPolicy === undefined) return 'Running'
  if (count.stopped === count.succeeded) return 'Succeeded'
  return spec.restartPolicy === 'Never' ? 'Failed' : 'Running'
}
