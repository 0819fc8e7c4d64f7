/** What the page shows, made from the API's objects. Only named fields pass: no environment, no volumes, no tokens. */
import { parseQuantity, toNumber, type ContainerState, type Pod } from '@interlink-ts/interlink-api/wire'
import { podRequests } from './pod-requests.ts'
import type { NodeShape } from '../node/node-shape.ts'

export interface PageResource {
  readonly name: string
  /** In the resource's own unit: cores, bytes, pieces. */
  readonly used: number
  readonly total: number
}

export interface PageNode {
  readonly name: string
  readonly ready: boolean
  /** Why it is not ready, or who answers. */
  readonly message: string
  readonly resources: readonly PageResource[]
}

export type PodState = 'waiting' | 'running' | 'succeeded' | 'failed' | 'ending'

export interface PageContainer {
  readonly name: string
  readonly kind: 'init' | 'main'
  readonly state: 'waiting' | 'running' | 'terminated'
  readonly reason: string
  readonly exitCode?: number
  readonly restarts: number
  readonly ready: boolean
}

export interface PagePod {
  readonly uid: string
  readonly node: string
  readonly namespace: string
  readonly name: string
  readonly state: PodState
  readonly reason: string
  readonly message: string
  readonly jobId: string
  readonly createdAt: string
  readonly startedAt: string
  readonly finishedAt: string
  readonly containers: readonly PageContainer[]
}

export function pageNode(name: string, shape: NodeShape, pods: readonly Pod[]): PageNode {
  const ready = shape.conditions.find(({ type }) => type === 'Ready')
  const backend = shape.conditions.find(({ type }) => type === 'InterlinkConnectivity')
  const active = pods.filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed')
  const used: Record<string, number> = { pods: active.length }
  for (const pod of active)
    for (const [resource, amount] of Object.entries(podRequests(pod)))
      used[resource] = (used[resource] ?? 0) + amount
  return {
    name,
    ready: ready?.status === 'True',
    message: (ready?.status === 'True' ? backend?.message : ready?.message) ?? '',
    resources: Object.entries(shape.resources)
      .map(([resource, total]) => ({
        name: resource,
        used: used[resource] ?? 0,
        total: toNumber(parseQuantity(total) ?? 0n)
      }))
      .sort((a, b) => rank(a.name) - rank(b.name) || a.name.localeCompare(b.name))
  }
}

const order = ['cpu', 'memory', 'pods']
const rank = (name: string) => (order.includes(name) ? order.indexOf(name) : order.length)

export function pagePod(pod: Pod, jobId: string | undefined): PagePod {
  const { metadata, spec, status } = pod
  const state = podState(pod)
  const containers = pageContainers(pod)
  const times = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].map(
    stateTimes
  )
  const ended = state === 'succeeded' || state === 'failed'
  const failed = containers.find((one) => one.state === 'terminated' && one.exitCode !== 0)
  const waiting = containers.find((one) => one.state === 'waiting' && one.reason)
  const culprit =
    state === 'failed' ? failed : state === 'waiting' || state === 'running' ? waiting : undefined
  return {
    uid: metadata.uid ?? '',
    node: spec?.nodeName ?? '',
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    state,
    reason: status?.reason || (culprit ? describe(culprit) : ''),
    message: clip(status?.message || (state === 'failed' ? terminationMessage(pod) : '')),
    jobId: jobId ?? '',
    createdAt: metadata.creationTimestamp ?? '',
    startedAt: minimum(times.map(({ startedAt }) => startedAt)),
    finishedAt: ended ? maximum(times.map(({ finishedAt }) => finishedAt)) : '',
    containers
  }
}

export function podState({ metadata, status }: Pod): PodState {
  if (status?.phase === 'Succeeded') return 'succeeded'
  if (status?.phase === 'Failed') return 'failed'
  if (metadata.deletionTimestamp) return 'ending'
  return status?.phase === 'Running' ? 'running' : 'waiting'
}

function pageContainers({ spec, status }: Pod): PageContainer[] {
  const statuses = new Map(
    [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].map((one) => [
      one.name,
      one
    ])
  )
  const page = (name: string, kind: PageContainer['kind']): PageContainer => {
    const found = statuses.get(name)
    const { running, terminated, waiting } = found?.state ?? {}
    return {
      name,
      kind,
      state: terminated ? 'terminated' : running ? 'running' : 'waiting',
      reason: terminated?.reason ?? waiting?.reason ?? '',
      ...(terminated && { exitCode: terminated.exitCode ?? 0 }),
      restarts: found?.restartCount ?? 0,
      ready: found?.ready ?? false
    }
  }
  return [
    ...(spec?.initContainers ?? []).map(({ name }) => page(name, 'init')),
    ...(spec?.containers ?? []).map(({ name }) => page(name, 'main'))
  ]
}

const describe = ({ name, reason, exitCode }: PageContainer) =>
  exitCode === undefined ? reason : `${name}: ${reason || 'Error'}, exit code ${exitCode}`

function terminationMessage({ status }: Pod): string {
  const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
  return (
    all.map(({ state }) => state?.terminated).find((ended) => ended && ended.exitCode !== 0)?.message ?? ''
  )
}

function stateTimes({ state, lastState }: { state?: ContainerState; lastState?: ContainerState }) {
  const { running, terminated } = state ?? {}
  return {
    startedAt: lastState?.terminated?.startedAt ?? running?.startedAt ?? terminated?.startedAt ?? '',
    finishedAt: terminated?.finishedAt ?? ''
  }
}

const clip = (text: string) => (text.length > 2000 ? `${text.slice(0, 2000)}…` : text)
const minimum = (times: readonly string[]) => times.filter(Boolean).sort()[0] ?? ''
const maximum = (times: readonly string[]) => times.filter(Boolean).sort().at(-1) ?? ''
