import type { Variable } from '../backend.ts'
import type { PlannedContainer, PlannedPod } from '../plan/plan.ts'
import { instanceMark } from '../supervisor/render-job.ts'

/** What a runtime sets over the image's own variables; the last one of a name wins, as a kubelet has it. */
export function runtimeVariables(pod: PlannedPod, container: PlannedContainer): Variable[] {
  const values = new Map([
    ['HOSTNAME', pod.hostname],
    ...container.env.map(({ name, value }) => [name, value] as const),
    ['INTERLINK_INSTANCE', instanceMark(pod, container)]
  ])
  return [...values].map(([name, value]) => ({ name, value }))
}
