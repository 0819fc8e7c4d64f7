import type { ContainerStatus, Pod } from '@interlink-ts/interlink-api/wire'

/** Names of all containers of a pod, of every kind. */
export function containersOf(pod: Pod): readonly string[] {
  const { initContainers = [], containers = [] } = pod.spec ?? {}
  const ephemeral =
    (pod.spec as { ephemeralContainers?: { name: string }[] } | undefined)?.ephemeralContainers ?? []
  return [...initContainers, ...containers, ...ephemeral].map(({ name }) => name)
}

export function statusOfContainer(pod: Pod, container: string): ContainerStatus | undefined {
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {}
  return [...initContainerStatuses, ...containerStatuses].find((one) => one.name === container)
}
