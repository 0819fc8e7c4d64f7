import type { Variable } from '../backend.ts'
import type { PlannedContainer, PlannedPod } from '../plan/plan.ts'

/** What a container sees as PATH unless it sets one; the default of container runtimes. */
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** What marks the processes of a container, whoever has started them. */
export const instanceMark = (
  pod: Pick<PlannedPod, 'uid'>,
  { name }: Pick<PlannedContainer, 'name'>
): string => `${name}.${pod.uid}`

/** The container's whole environment but for its mark. */
export const containerEnvironment = (pod: PlannedPod, { env }: PlannedContainer): Variable[] =>
  lastOfEach([{ name: 'PATH', value: DEFAULT_PATH }, { name: 'HOSTNAME', value: pod.hostname }, ...env])

/** What a runtime sets over the image's own variables. */
export const runtimeVariables = (pod: PlannedPod, container: PlannedContainer): Variable[] =>
  lastOfEach([
    { name: 'HOSTNAME', value: pod.hostname },
    ...container.env,
    { name: 'INTERLINK_INSTANCE', value: instanceMark(pod, container) }
  ])

/** The last one of a name wins, as a kubelet has it. */
function lastOfEach(variables: readonly Variable[]): Variable[] {
  const values = new Map(variables.map(({ name, value }) => [name, value]))
  return [...values].map(([name, value]) => ({ name, value }))
}
