/** Puts pods on nodes: selector, affinity, taints, resources. Source: "Kubernetes Scheduler", "Assigning Pods to Nodes". */
import { bind } from '../api/subresources.ts'
import { at, now, type Json, type KubeObject } from '../object.ts'
import { known } from '../resources.ts'
import type { Cluster } from '../cluster.ts'
import { tell } from './events.ts'
import { quantity } from './quantity.ts'
import type { ControlContext } from './controller.ts'

const pods = known('v1', 'Pod')
const nodes = known('v1', 'Node')

/** Runs until stopped. A pod that fits nowhere is tried again whenever a node or a pod changes. */
export function runScheduler({ cluster, warn }: ControlContext): () => void {
  const { store } = cluster
  const used = new Map<string, Map<string, number>>()
  let scheduled = false
  const pass = () => {
    scheduled = false
    const waiting = store
      .list(pods)
      .filter(
        (pod) =>
          !at(pod, 'spec', 'nodeName') &&
          !pod.metadata.deletionTimestamp &&
          at(pod, 'spec', 'schedulerName') === 'default-scheduler' &&
          !at<Json[]>(pod, 'spec', 'schedulingGates')?.length
      )
    if (waiting.length === 0) return
    used.clear()
    for (const pod of store.list(pods)) charge(used, pod)
    for (const pod of waiting)
      try {
        place(cluster, pod, used)
      } catch (error) {
        warn({ err: error, pod: pod.metadata.name }, 'scheduling failed')
      }
  }
  const wake = () => {
    if (!scheduled) setImmediate(pass)
    scheduled = true
  }
  const stops = [store.watch(pods, store.revision, wake), store.watch(nodes, store.revision, wake)]
  wake()
  return () => stops.forEach((stop) => stop())
}

function place(cluster: Cluster, pod: KubeObject, used: Map<string, Map<string, number>>): void {
  const all = cluster.store.list(nodes)
  const objections = new Map<string, number>()
  let best: { node: KubeObject; score: number } | undefined
  for (const node of all) {
    const objection = objectionOf(pod, node, used.get(node.metadata.name))
    if (objection) objections.set(objection, (objections.get(objection) ?? 0) + 1)
    else {
      const score = preference(pod, node) * 1000 - (used.get(node.metadata.name)?.get('pods') ?? 0)
      if (!best || score > best.score) best = { node, score }
    }
  }
  if (best) {
    const { name } = best.node.metadata
    bind({ cluster }, pod, name)
    charge(used, { ...pod, spec: { ...(pod.spec as Json), nodeName: name } })
    tell(
      cluster,
      pod,
      'default-scheduler',
      'Normal',
      'Scheduled',
      `Successfully assigned ${pod.metadata.namespace}/${pod.metadata.name} to ${name}`
    )
    return
  }
  const why = [...objections]
    .map(([text, count]) => `${count} ${text}`)
    .sort()
    .join(', ')
  const message =
    all.length === 0 ? 'no nodes available to schedule pods' : `0/${all.length} nodes are available: ${why}.`
  const status = at<Json>(pod, 'status') ?? {}
  const before = at<Json[]>(status, 'conditions')?.find((one) => one.type === 'PodScheduled')
  if (before?.message === message) return
  const condition = {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    message,
    lastTransitionTime: now()
  }
  cluster.store.put(pods, {
    ...pod,
    status: {
      ...status,
      conditions: [
        ...(at<Json[]>(status, 'conditions') ?? []).filter((one) => one.type !== 'PodScheduled'),
        condition
      ]
    }
  })
  tell(cluster, pod, 'default-scheduler', 'Warning', 'FailedScheduling', message)
}

/** Why a node will not do, in the words of kube-scheduler. */
function objectionOf(
  pod: KubeObject,
  node: KubeObject,
  used: Map<string, number> | undefined
): string | undefined {
  if (at(node, 'spec', 'unschedulable')) return 'node(s) were unschedulable'
  const labels = node.metadata.labels ?? {}
  const wanted = Object.entries(at<Record<string, string>>(pod, 'spec', 'nodeSelector') ?? {})
  if (!wanted.every(([key, value]) => labels[key] === value) || !affine(pod, node))
    return "node(s) didn't match Pod's node affinity/selector"
  const taint = (at<Json[]>(node, 'spec', 'taints') ?? []).find(
    (one) => one.effect !== 'PreferNoSchedule' && !tolerated(pod, one)
  )
  if (taint) return `node(s) had untolerated taint {${String(taint.key)}: ${String(taint.value ?? '')}}`
  if (at<Json[]>(node, 'status', 'conditions')?.find((one) => one.type === 'Ready')?.status !== 'True')
    return 'node(s) were not ready'
  for (const [name, amount] of requests(pod)) {
    const room = quantity(at(node, 'status', 'allocatable', name)) - (used?.get(name) ?? 0)
    if (amount > room) return name === 'pods' ? 'Too many pods' : `Insufficient ${name}`
  }
  return undefined
}

function affine(pod: KubeObject, node: KubeObject): boolean {
  const terms = at<Json[]>(
    pod,
    'spec',
    'affinity',
    'nodeAffinity',
    'requiredDuringSchedulingIgnoredDuringExecution',
    'nodeSelectorTerms'
  )
  return !terms || terms.some((term) => matches(term, node))
}

function preference(pod: KubeObject, node: KubeObject): number {
  const preferred =
    at<Json[]>(pod, 'spec', 'affinity', 'nodeAffinity', 'preferredDuringSchedulingIgnoredDuringExecution') ??
    []
  return preferred.reduce(
    (sum, one) => sum + (matches(one.preference as Json, node) ? Number(one.weight) : 0),
    0
  )
}

function matches(term: Json, node: KubeObject): boolean {
  const test = (source: Record<string, string>) => (one: Json) => {
    const value = source[String(one.key)]
    const values = (one.values as string[] | undefined) ?? []
    switch (one.operator) {
      case 'In':
        return value !== undefined && values.includes(value)
      case 'NotIn':
        return value === undefined || !values.includes(value)
      case 'Exists':
        return value !== undefined
      case 'DoesNotExist':
        return value === undefined
      case 'Gt':
        return Number(value) > Number(values[0])
      case 'Lt':
        return Number(value) < Number(values[0])
      default:
        return false
    }
  }
  const expressions = (term.matchExpressions as Json[] | undefined) ?? []
  const fields = (term.matchFields as Json[] | undefined) ?? []
  if (expressions.length + fields.length === 0) return false
  return (
    expressions.every(test(node.metadata.labels ?? {})) &&
    fields.every(test({ 'metadata.name': node.metadata.name }))
  )
}

export function tolerated(pod: KubeObject, taint: Json): boolean {
  return (at<Json[]>(pod, 'spec', 'tolerations') ?? []).some(
    (one) =>
      (!one.effect || one.effect === taint.effect) &&
      (!one.key
        ? one.operator === 'Exists'
        : one.key === taint.key && (one.operator === 'Exists' || (one.value ?? '') === (taint.value ?? '')))
  )
}

/** What a pod takes of a node: max(init, sum(containers)) for each resource, and one pod. */
function requests(pod: KubeObject): Map<string, number> {
  const total = new Map<string, number>([['pods', 1]])
  const add = (list: string, combine: (a: number, b: number) => number) => {
    const sum = new Map<string, number>()
    for (const one of at<Json[]>(pod, 'spec', list) ?? [])
      for (const [name, amount] of Object.entries(at<Json>(one, 'resources', 'requests') ?? {}))
        sum.set(name, combine(sum.get(name) ?? 0, quantity(amount)))
    for (const [name, amount] of sum) total.set(name, Math.max(total.get(name) ?? 0, amount))
  }
  add('containers', (a, b) => a + b)
  add('initContainers', Math.max)
  return total
}

function charge(used: Map<string, Map<string, number>>, pod: KubeObject): void {
  const node = at<string>(pod, 'spec', 'nodeName')
  if (!node || ['Succeeded', 'Failed'].includes(String(at(pod, 'status', 'phase')))) return
  const own = used.get(node) ?? new Map<string, number>()
  used.set(node, own)
  for (const [name, amount] of requests(pod)) own.set(name, (own.get(name) ?? 0) + amount)
}
