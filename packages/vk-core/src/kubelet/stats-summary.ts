/** `/stats/summary` (stats/v1alpha1) with what is known: identities and start times. Unmeasured usage is left out. */
import type { Pod } from '@interlink-ts/interlink-api/wire'

export function statsSummary(nodeName: string, startedAt: string, pods: readonly Pod[]) {
  return {
    node: { nodeName, startTime: startedAt },
    pods: pods
      .filter((pod) => pod.status?.phase === 'Running')
      .map(({ metadata, status }) => ({
        podRef: { name: metadata.name, namespace: metadata.namespace, uid: metadata.uid },
        startTime: status?.startTime,
        containers: (status?.containerStatuses ?? []).flatMap(({ name, state }) =>
          state?.running?.startedAt ? [{ name, startTime: state.running.startedAt }] : []
        )
      }))
  }
}
