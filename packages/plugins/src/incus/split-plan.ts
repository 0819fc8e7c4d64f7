/** A pod whose containers have an instance each: the parts that it is made of. Pure. */
import { join } from 'node:path'
import type { Notice, Plan, PlannedContainer, PlannedVolume, Refusal } from '../kit/plan/plan.ts'
import { layoutName } from './pod-wishes.ts'

/** Whether each container has an instance of its own. */
export const isSplit = ({ pod }: Pick<Plan, 'pod'>): boolean => pod.annotations[layoutName] === 'containers'

/** By which a part is known where a pod is by its UID; neither UIDs nor names of containers have a dot. */
export const partKey = (uid: string, container: string): string => `${uid}.${container}`

/** UID of the pod that a part is of; of a pod its own. */
export const podOf = (key: string): string => key.split('.', 1)[0]!

/** The job directory of a part. */
export const partDirectory = (dir: string, container: string): string => join(dir, 'parts', container)

/**
 * What the supervisor of one container is given: a pod of this container alone, which ends when it has ended for good.
 * @param elapsedSeconds since the start of the pod, whose deadline goes on
 */
export function partPlan(plan: Plan, container: PlannedContainer, elapsedSeconds = 0): Plan {
  const { deadlineSeconds, ...pod } = plan
  const { mounts, limits } = container
  const mounted = new Set(mounts.map(({ volume }) => volume))
  return {
    ...pod,
    restartPolicy: policyOf(container, plan.restartPolicy),
    ...(deadlineSeconds === undefined
      ? {}
      : { deadlineSeconds: Math.max(1, Math.ceil(deadlineSeconds - elapsedSeconds)) }),
    containers: [{ ...container, kind: 'main' }],
    ...(pod.claimed ? { claimed: container.claimed ?? [] } : {}),
    volumes: plan.volumes.filter(({ name }) => mounted.has(name)),
    resources: {
      cpuMillis: limits.cpuMillis ?? 0,
      memoryBytes: limits.memoryBytes ?? 0,
      ephemeralBytes: limits.ephemeralBytes ?? 0,
      extended: limits.extended ?? {}
    },
    notices: []
  }
}

/** An init container runs until it has succeeded, a sidecar until it is stopped. */
function policyOf({ kind }: PlannedContainer, policy: Plan['restartPolicy']): Plan['restartPolicy'] {
  if (kind === 'sidecar') return 'Always'
  return kind === 'init' && policy === 'Always' ? 'OnFailure' : policy
}

export type EmptyDir = Extract<PlannedVolume, { kind: 'emptyDir' }>

/** The directories that are volumes of the storage pool, so that several instances can have them. */
export const sharedVolumes = (plan: Plan): EmptyDir[] =>
  isSplit(plan)
    ? plan.volumes.filter((volume): volume is EmptyDir => volume.kind === 'emptyDir' && !volume.memory)
    : []

/** Where such a volume is in an instance. */
export const sharedPath = (volume: string): string => `/.interlink-volumes/${volume}`

/** What instances cannot have together. */
export function refuseSplit(plan: Plan): Refusal[] {
  if (!isSplit(plan)) return []
  const { containers, volumes, sharesProcesses } = plan
  const together = (name: string) =>
    containers.filter(({ mounts }) => mounts.some(({ volume }) => volume === name)).length > 1
  return [
    ...(sharesProcesses
      ? [
          {
            field: 'spec.shareProcessNamespace',
            message: `instances do not see each other's processes; remove it, or ${layoutName}: containers`
          }
        ]
      : []),
    ...volumes.flatMap((volume) =>
      volume.kind === 'emptyDir' && volume.memory && together(volume.name)
        ? [
            {
              field: `spec.volumes[${volume.name}].emptyDir.medium`,
              message: 'memory is not shared by instances; leave it out, or mount it in one container alone'
            }
          ]
        : []
    )
  ]
}

/** What is otherwise than in a pod of one instance, and in one on a kubelet. */
export const splitNotices = (plan: Plan): Notice[] =>
  isSplit(plan) && plan.containers.filter(({ kind }) => kind !== 'init').length > 1
    ? [
        {
          reason: 'NetworkNotShared',
          message:
            'each container is an instance with a network of its own: containers do not reach each other by localhost'
        }
      ]
    : []
