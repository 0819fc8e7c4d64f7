import type { Variable } from '../backend.ts'
import type { PlannedContainer, PlannedPod, Refusal } from '../plan/plan.ts'

/** What a container sees as PATH unless it sets one; the default of container runtimes. */
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** What marks the processes of a container, whoever has started them. */
export const instanceMark = (
  pod: Pick<PlannedPod, 'uid'>,
  { name }: Pick<PlannedContainer, 'name'>
): string => `${name}.${pod.uid}`

/** The container's whole environment but for its mark. */
export const containerEnvironment = (pod: PlannedPod, { env, tty }: PlannedContainer): Variable[] =>
  lastOfEach([
    { name: 'PATH', value: DEFAULT_PATH },
    { name: 'HOSTNAME', value: pod.hostname },
    ...terminalType(tty),
    ...env
  ])

/** As container runtimes have it. */
const terminalType = (tty: boolean): Variable[] => (tty ? [{ name: 'TERM', value: 'xterm' }] : [])

/** What a runtime sets over the image's own variables. */
export const runtimeVariables = (pod: PlannedPod, container: PlannedContainer): Variable[] =>
  lastOfEach([
    { name: 'HOSTNAME', value: pod.hostname },
    ...terminalType(container.tty),
    ...container.env,
    { name: 'INTERLINK_INSTANCE', value: instanceMark(pod, container) }
  ])

/** The last one of a name wins, as a kubelet has it. */
function lastOfEach(variables: readonly Variable[]): Variable[] {
  const values = new Map(variables.map(({ name, value }) => [name, value]))
  return [...values].map(([name, value]) => ({ name, value }))
}

/** Apptainer has a use of its own for these, or its shell does. */
const apptainerOwn = /^(PREPEND_PATH|APPEND_PATH|UID|EUID|GID)$/
const shellName = /^[A-Za-z_][A-Za-z0-9_]*$/

/**
 * The variables that Apptainer cannot give a container, or whose names its built-in shell would execute; `path` is that
 * of the container in its pod.
 */
export function refuseForApptainer(variables: readonly Variable[], path: string): Refusal | undefined {
  const refused = variables.filter(({ name }) => !shellName.test(name) || apptainerOwn.test(name))
  if (refused.length === 0) return undefined
  const names = refused.map(({ name }) => name).join(', ')
  return {
    field: `${path}.env`,
    message: `Apptainer cannot set ${names} in a container; use other names`
  }
}
