/** Source: Kubernetes, pkg/apis/core/v1/helper/qos. */
import { parseQuantity, type PodSpec } from '@interlink-ts/interlink-api/wire'

export function qosClass(spec: PodSpec): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = [...(spec.initContainers ?? []), ...spec.containers]
  const all = spec.resources ? [spec.resources] : containers.map((one) => one.resources ?? {})
  const set = (map: Readonly<Record<string, string | number>> | undefined, name: string) =>
    (parseQuantity(map?.[name]) ?? 0n) > 0n
  const any = all.some((one) =>
    ['cpu', 'memory'].some((name) => set(one.limits, name) || set(one.requests, name))
  )
  if (!any) return 'BestEffort'
  const guaranteed = all.every((one) =>
    ['cpu', 'memory'].every(
      (name) =>
        set(one.limits, name) &&
        parseQuantity(one.requests?.[name] ?? one.limits?.[name]) === parseQuantity(one.limits?.[name])
    )
  )
  return guaranteed ? 'Guaranteed' : 'Burstable'
}
