/** Whether a node takes a pod, and how well it suits. Pure. Source: "Assigning Pods to Nodes", "Taints and Tolerations". */
import { at, type Json } from '../object.ts'
import { quantity } from '../quantity.ts'

export type Usage = ReadonlyMap<string, number>

/** Why a node will not do, in the words of kube-scheduler; undefined when it will. */
export function objectionTo(
  pod: unknown,
  node: unknown,
  wanted: Usage,
  used: Usage | undefined
): string | undefined {
  if (at(node, 'spec', 'unschedulable') && !tolerated(pod, unschedulable)) return 'node(s) were unschedulable'
  const taint = taintAgainst(pod, node)
  if (taint) return `node(s) had untolerated taint {${String(taint.key)}: ${String(taint.value ?? '')}}`
  if (!selected(pod, node)) return "node(s) didn't match Pod's node affinity/selector"
  for (const [name, amount] of wanted) {
    const room = quantity(at(node, 'status', 'allocatable', name)) - (used?.get(name) ?? 0)
    if (amount > 0 && amount > room) return name === 'pods' ? 'Too many pods' : `Insufficient ${name}`
  }
  return undefined
}

/** Whether selector, affinity and taints let a pod onto a node, whatever room there is. */
export const nodeAdmits = (pod: unknown, node: unknown): boolean =>
  selected(pod, node) && !taintAgainst(pod, node)

const unschedulable = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }

const taintAgainst = (pod: unknown, node: unknown): Json | undefined =>
  at<Json[]>(node, 'spec', 'taints')?.find((one) => one.effect !== 'PreferNoSchedule' && !tolerated(pod, one))

function selected(pod: unknown, node: unknown): boolean {
  const labels = at<Record<string, string>>(node, 'metadata', 'labels') ?? {}
  const wanted = Object.entries(at<Record<string, string>>(pod, 'spec', 'nodeSelector') ?? {})
  const terms = at<Json[]>(
    pod,
    ...affinity,
    'requiredDuringSchedulingIgnoredDuringExecution',
    'nodeSelectorTerms'
  )
  return (
    wanted.every(([key, value]) => labels[key] === value) &&
    (!terms || terms.some((term) => matches(term, node)))
  )
}

const affinity = ['spec', 'affinity', 'nodeAffinity']

/** The sum of the weights of the preferences that a node meets, less one for each taint better avoided. */
export function preference(pod: unknown, node: unknown): number {
  const preferred = at<Json[]>(pod, ...affinity, 'preferredDuringSchedulingIgnoredDuringExecution') ?? []
  const taints = (at<Json[]>(node, 'spec', 'taints') ?? []).filter(
    (one) => one.effect === 'PreferNoSchedule' && !tolerated(pod, one)
  )
  return preferred.reduce(
    (sum, one) => sum + (matches(one.preference as Json, node) ? Number(one.weight) : 0),
    -taints.length
  )
}

function matches(term: Json, node: unknown): boolean {
  const expressions = (term.matchExpressions as Json[] | undefined) ?? []
  const fields = (term.matchFields as Json[] | undefined) ?? []
  const labels = at<Record<string, string>>(node, 'metadata', 'labels') ?? {}
  const name = at<string>(node, 'metadata', 'name')
  return (
    expressions.length + fields.length > 0 &&
    expressions.every((one) => meets(one, labels[String(one.key)])) &&
    fields.every((one) => meets(one, one.key === 'metadata.name' ? name : undefined))
  )
}

function meets({ operator, values: given }: Json, value: string | undefined): boolean {
  const values = (given as string[] | undefined) ?? []
  switch (operator) {
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

function tolerated(pod: unknown, taint: Json): boolean {
  return (at<Json[]>(pod, 'spec', 'tolerations') ?? []).some(
    (one) =>
      (!one.effect || one.effect === taint.effect) &&
      (!one.key
        ? one.operator === 'Exists'
        : one.key === taint.key && (one.operator === 'Exists' || (one.value ?? '') === (taint.value ?? '')))
  )
}

/**
 * What a pod takes of a node: for each resource the larger of its containers with its sidecars, and of each init
 * container with the sidecars before it; and one pod.
 */
export function requestsOf(pod: unknown): Map<string, number> {
  const total = new Map<string, number>()
  const add = (into: Map<string, number>, from: Usage) => {
    for (const [name, amount] of from) into.set(name, (into.get(name) ?? 0) + amount)
  }
  const of = (one: Json): Map<string, number> =>
    new Map(
      Object.entries(at<Json>(one, 'resources', 'requests') ?? {}).map(([name, amount]) => [
        name,
        quantity(amount)
      ])
    )
  const sidecars = new Map<string, number>()
  const peaks: Map<string, number>[] = []
  for (const one of at<Json[]>(pod, 'spec', 'initContainers') ?? []) {
    if (one.restartPolicy === 'Always') {
      add(sidecars, of(one))
      continue
    }
    const peak = new Map(sidecars)
    add(peak, of(one))
    peaks.push(peak)
  }
  for (const one of at<Json[]>(pod, 'spec', 'containers') ?? []) add(total, of(one))
  add(total, sidecars)
  for (const peak of peaks)
    for (const [name, amount] of peak) total.set(name, Math.max(total.get(name) ?? 0, amount))
  return total.set('pods', 1)
}
