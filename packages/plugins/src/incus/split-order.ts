/** The order in which the parts of a pod start and end, as the supervisor has it within one instance. Pure. */
import type { ContainerRecord, JobState } from '../kit/jobs/job-state.ts'
import type { Plan, PlannedContainer } from '../kit/plan/plan.ts'

/** What is known of a container's own instance. */
export interface PartFacts {
  /** It was handed to Incus. */
  readonly begun: boolean
  readonly record?: ContainerRecord | undefined
  /** Its supervisor has ended. */
  readonly finished?: JobState['finished'] | undefined
}

/** Names of containers; `end` once nothing is left to do. */
export interface Step {
  readonly start: readonly string[]
  readonly stop: readonly string[]
  readonly end?: NonNullable<JobState['finished']>
}

type Parts = ReadonlyMap<string, PartFacts>

const none: Step = { start: [], stop: [] }
const unknown: PartFacts = { begun: false }

/**
 * What is to be done next.
 * @param wished somebody asks for the end of the pod
 * @param now epoch ms
 */
export function nextStep({ containers }: Plan, parts: Parts, wished: boolean, now: number): Step {
  const facts = ({ name }: PlannedContainer) => parts.get(name) ?? unknown
  // A part that has an end of its own, such as a deadline, takes the pod along.
  const cut = containers.map((each) => facts(each).finished).find((finished) => finished?.reason)
  const failed = containers.some((each) => each.kind === 'init' && hasFailed(facts(each)))
  const isOver = containers.every((each) => each.kind !== 'main' || facts(each).finished)
  if (!wished && !cut && !failed && !isOver) return { ...none, start: toStart(containers, facts) }
  const running = containers.filter((each) => facts(each).begun && !facts(each).finished)
  const sidecars = running.filter(({ kind }) => kind === 'sidecar')
  const others = running.filter(({ kind }) => kind !== 'sidecar')
  const stop = others.length > 0 ? others : sidecars.slice(-1)
  if (stop.length > 0) return { ...none, stop: stop.map(({ name }) => name) }
  const at = Math.max(...containers.map((each) => facts(each).finished?.at ?? 0)) || now
  return { ...none, end: { ...cut, at } }
}

const hasFailed = ({ finished, record }: PartFacts): boolean =>
  finished !== undefined && record?.exitCode !== 0

/** An init container to its end, a sidecar until it is up, then all main containers. */
function toStart(
  containers: readonly PlannedContainer[],
  facts: (container: PlannedContainer) => PartFacts
): string[] {
  const last = containers.findLastIndex((each) => facts(each).begun)
  for (const [index, container] of containers.entries()) {
    if (container.kind === 'main') break
    const { begun, record, finished } = facts(container)
    if (!begun) return [container.name]
    const isUp = record?.state === 'running' && record.up
    // One that was up once holds up nobody.
    if (container.kind === 'init' ? !finished : !isUp && index >= last) return []
  }
  return containers.filter((each) => each.kind === 'main' && !facts(each).begun).map(({ name }) => name)
}
