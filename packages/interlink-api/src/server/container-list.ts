import type { ConfigMap, Container, Pod } from '../wire/kube.ts'
import type {
  PodCreateRequests,
  RetrievedContainer,
  RetrievedPodData,
  ScriptBuildConfig
} from '../wire/messages.ts'

/**
 * What a plugin gets for a node's request: every container, init containers first, with the objects whose volumes it
 * mounts. Projected maps are named after their volume. `emptyDirs` stays empty, as in the reference.
 */
export const retrievedPodData = (
  request: PodCreateRequests,
  jobConfig?: ScriptBuildConfig
): RetrievedPodData => {
  const wanted = request.pod.spec.imagePullSecrets?.map(({ name }) => name) ?? []
  const imagePullSecrets = request.secrets.filter(({ metadata }) => wanted.includes(metadata.name))
  return {
    pod: request.pod,
    container: [...(request.pod.spec.initContainers ?? []), ...request.pod.spec.containers].map((container) =>
      retrievedContainer(container, request)
    ),
    ...(imagePullSecrets.length > 0 ? { imagePullSecrets } : {}),
    ...(jobConfig ? { jobConfig } : {})
  }
}

function retrievedContainer(container: Container, request: PodCreateRequests): RetrievedContainer {
  const mounted = new Set(container.volumeMounts?.map(({ name }) => name))
  const volumes = (request.pod.spec.volumes ?? []).filter(({ name }) => mounted.has(name))
  const named = <T extends ConfigMap>(objects: readonly T[], names: readonly (string | undefined)[]): T[] =>
    objects.filter((object) => names.includes(object.metadata.name))
  return {
    name: container.name,
    configMaps: named(
      request.configmaps,
      volumes.flatMap(({ configMap }) => (configMap ? [configMap.name] : []))
    ),
    projectedvolumemaps: named(
      request.projectedvolumesmaps,
      volumes.map(({ name }) => name)
    ),
    secrets: named(
      request.secrets,
      volumes.flatMap(({ secret }) => (secret ? [secret.secretName] : []))
    )
  }
}

/** Labels are on a whole pod only; a reference to one has none to go by. */
export const labelsOf = (
  pod: Pod | { metadata: Pod['metadata'] }
): Readonly<Record<string, string>> | undefined =>
  'spec' in pod && pod.spec ? (pod.metadata.labels ?? {}) : pod.metadata.labels
