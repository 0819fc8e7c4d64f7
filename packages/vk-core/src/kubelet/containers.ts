import type { ContainerStatus, Pod } from '@interlink-ts/interlink-api/wire'

/** Names of all containers of a pod, of every kind. */
export function containersOf(pod: Pod): readonly string[] {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {}
  return [...initContainers, ...containers, ...ephemeralContainers].map(({ name }) => name)
}

/** What is known of all of them, of every kind. */
export function statusesOf({ status }: Pod): readonly ContainerStatus[] {
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = status ?? {}
  return [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses]
}

export const statusOfContainer = (pod: Pod, container: string): ContainerStatus | undefined =>
  statusesOf(pod).find((one) => one.name === container)
