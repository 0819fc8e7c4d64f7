import type { Container, Pod } from '@interlink-ts/interlink-api/wire'
import { expandedAnnotation } from '@interlink-ts/interlink-api/wire'
import type { Findings } from './findings.ts'
import type { PlannedContainer } from './plan.ts'
import type { SitePolicy } from './policy.ts'

/** What a name of a container or volume is, RFC 1123. */
export const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

/** What the steps of one compilation share. */
export interface Context {
  readonly pod: Pod
  readonly policy: SitePolicy
  readonly findings: Findings
  /** What the sender says it has expanded; `assumed` without a word from it. See `expandedAnnotation`. */
  readonly expanded: { readonly env: 'done' | 'assumed' | 'no'; readonly args: boolean }
}

/** A container with its place in the pod, in start order. */
export interface Placed {
  readonly container: Container
  /** `spec.containers[0]`, for refusals. */
  readonly path: string
  readonly kind: PlannedContainer['kind']
}

export function createContext(pod: Pod, policy: SitePolicy, findings: Findings): Context {
  const mark = pod.metadata.annotations?.[expandedAnnotation]
  const done = mark?.split(',').map((part) => part.trim()) ?? []
  const env = mark === undefined ? 'assumed' : done.includes('env') ? 'done' : 'no'
  return { pod, policy, findings, expanded: { env, args: done.includes('args') } }
}

export function placeContainers(pod: Pod): Placed[] {
  const init = (pod.spec.initContainers ?? []).map((container, index): Placed => ({
    container,
    path: `spec.initContainers[${index}]`,
    kind: container.restartPolicy === 'Always' ? 'sidecar' : 'init'
  }))
  const main = pod.spec.containers.map((container, index): Placed => ({
    container,
    path: `spec.containers[${index}]`,
    kind: 'main'
  }))
  return [...init, ...main]
}

/** `spec.containers[0]`: the places in the pod of all containers of a plan. */
export function containerPaths(containers: readonly Pick<PlannedContainer, 'kind'>[]): string[] {
  const counters = { initContainers: 0, containers: 0, ephemeralContainers: 0 }
  const lists = {
    init: 'initContainers',
    sidecar: 'initContainers',
    main: 'containers',
    ephemeral: 'ephemeralContainers'
  } as const
  return containers.map(({ kind }) => {
    const list = lists[kind]
    return `spec.${list}[${counters[list]++}]`
  })
}
