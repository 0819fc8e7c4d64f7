import type { Plan, PlannedContainer } from '../plan/plan.ts'

/** One container on its way to a launch. */
export interface Rendering {
  readonly plan: Plan
  /** The job directory, as the machine that runs the job sees it. */
  readonly dir: string
  readonly container: PlannedContainer
  /** `spec.containers[0]` */
  readonly field: string
  readonly options: { readonly containers: ContainerTools }
  /** Options of the runtime that the pod has in its annotations. */
  readonly asked: readonly string[]
  readonly gpu: { readonly nvidia: boolean; readonly amd: boolean }
  /** What starts each rank of a parallel container; absent where it is a single process. */
  readonly ranks?: readonly string[]
}

/** What the machines of a site run containers by. */
export interface ContainerTools {
  readonly runtime: string
  /** @default the runtime, from PATH */
  readonly tool?: string
  /** A POSIX shell. */
  readonly shell: string
  /** Further options of the runtime. */
  readonly options: readonly string[]
}
