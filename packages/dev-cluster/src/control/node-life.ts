/**
 * The node lifecycle: a node whose lease is not renewed for 40 s becomes Unknown and its pods not ready; a node that is
 * not ready is tainted. Pods are not evicted. Source: node-lifecycle-controller.
 */
import type { Cluster } from '../cluster.ts'
import { at, now, type Json, type KubeObject } from '../object.ts'
import { known } from '../resources.ts'
import type { Controller } from './controller.ts'

const nodes = known('v1', 'Node')
const pods = known('v1', 'Pod')
const leases = known('coordination.k8s.io/v1', 'Lease')
const graceMs = 40_000
const taintKeys = { False: 'node.kubernetes.io/not-ready', Unknown: 'node.kubernetes.io/unreachable' }
const ours = Object.values(taintKeys)

type Condition = { type: string; status: string; [field: string]: unknown }
const conditionsOf = (object: KubeObject) => at<Condition[]>(object, 'status', 'conditions') ?? []
const readyOf = (node: KubeObject) => conditionsOf(node).find((one) => one.type === 'Ready')

export const nodeLifeController: Controller = {
  resource: nodes,
  reconcile(node, { cluster }) {
    const { name } = node.metadata
    const lease = cluster.store.find(leases, 'kube-node-lease', name)
    const renewed = Math.max(
      Date.parse(at<string>(lease, 'spec', 'renewTime') ?? '') || 0,
      Date.parse(node.metadata.creationTimestamp),
      Date.parse(String(readyOf(node)?.lastHeartbeatTime ?? '')) || 0
    )
    const left = renewed + graceMs - Date.now()
    const ready = readyOf(node)
    if (left <= 0 && ready?.status !== 'Unknown') lose(cluster, name)
    const current = cluster.store.find(nodes, undefined, name)
    if (current) taint(cluster, current)
    return left > 0 ? left + 1000 : 5000
  }
}

const lost = {
  status: 'Unknown',
  reason: 'NodeStatusUnknown',
  message: 'Kubelet stopped posting node status.'
}

function lose(cluster: Cluster, name: string): void {
  cluster.change(nodes, undefined, name, (found) => {
    const conditions = conditionsOf(found)
    const kept = conditions.some((one) => one.type === 'Ready')
      ? conditions
      : [...conditions, { type: 'Ready', status: '' }]
    return {
      ...found,
      status: {
        ...(found.status as Json),
        conditions: kept.map((one) =>
          one.status === 'Unknown' ? one : { ...one, ...lost, lastTransitionTime: now() }
        )
      }
    }
  })
  for (const pod of cluster.store.list(pods))
    if (at(pod, 'spec', 'nodeName') === name && readyOf(pod)?.status === 'True')
      cluster.change(pods, pod.metadata.namespace, pod.metadata.name, (found) => ({
        ...found,
        status: {
          ...(found.status as Json),
          conditions: conditionsOf(found).map((one) =>
            one.type === 'Ready' ? { ...one, status: 'False', lastTransitionTime: now() } : one
          )
        }
      }))
}

/** The taints that follow from readiness, beside those of others. */
function taint(cluster: Cluster, node: KubeObject): void {
  const status = readyOf(node)?.status ?? 'Unknown'
  const key = status === 'True' ? undefined : status === 'False' ? taintKeys.False : taintKeys.Unknown
  const before = at<Json[]>(node, 'spec', 'taints') ?? []
  const others = before.filter((one) => !ours.includes(String(one.key)))
  const own = ['NoSchedule', 'NoExecute'].flatMap((effect) => {
    if (!key) return []
    const found = before.find((one) => one.key === key && one.effect === effect)
    return [found ?? { key, effect, ...(effect === 'NoExecute' ? { timeAdded: now() } : {}) }]
  })
  if (own.length + others.length === before.length && own.every((one) => before.includes(one))) return
  const { taints: _taints, ...spec } = (node.spec ?? {}) as Json
  const taints = [...others, ...own]
  cluster.change(nodes, undefined, node.metadata.name, (found) => ({
    ...found,
    spec: { ...spec, ...(taints.length > 0 ? { taints } : {}) }
  }))
}
