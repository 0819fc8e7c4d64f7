import type { ContainerStatus, Pod } from '@interlink-ts/interlink-api/wire'

/** Names of all containers of a pod, of every kind. */
export function containersOf(pod: Pod): readonly string[] {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {}
  return [...initContainers, ...containers, ...ephemeralContainers].map(({ name }) => name)
}

export function statusOfContainer(pod: Pod, container: string): ContainerStatus | undefined {
  const {
    containerStatuses = [],
    initContainerStatuses = [],
    ephemeralContainerStatuses = []
  } = pod.status ?? {}
  return [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses].find(
    (one) => one.name === container
  )
}
