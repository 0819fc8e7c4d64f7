import type { Notice, Plan, PlannedDevice, Refusal } from '../kit/plan/plan.ts'
import type { IncusOptions } from './options.ts'

export type Options = Readonly<Record<string, string>>
export type FormOptions = Pick<IncusOptions, 'nvidiaRuntime' | 'remotes'>

/** What differs between a pod that is a container of Incus and one that is a virtual machine. Pure. */
export interface InstanceForm {
  /** As Incus has it. */
  readonly type: 'container' | 'virtual-machine'
  /**
   * How the supervisor is started. `init`: it is the first program of the instance, which waits for the job. `agent`:
   * once the instance has booted its own system and its agent answers, the job is pushed and told to begin.
   */
  readonly startedBy: 'init' | 'agent'
  /** Tells the supervisor that there is a file `stop`, where it should not wait for its next look. */
  readonly wake?: readonly string[]
  /** A root disk in a pool of the driver `dir` is held to its size. */
  readonly isDiskHeldByDir: boolean
  /** Of the instance: how it begins, and what it may use. */
  config(plan: Plan, options: FormOptions): Options
  /** What a lent device is; several of one instance. */
  devices(device: PlannedDevice): readonly Options[]
  /** Of a directory of the server. */
  hostPath(source: string, path: string): Options
  /** Why it cannot have a device that was lent. */
  refuseDevice(device: PlannedDevice): string | undefined
  refusals(plan: Plan, options: FormOptions): readonly Refusal[]
  notices(plan: Plan): readonly Notice[]
}
