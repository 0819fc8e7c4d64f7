/** Puts pods on nodes: selector, affinity, taints, resources. Source: "Kubernetes Scheduler". */
import { bind } from '../api/subresources.ts'
import { at, now, type Json, type KubeObject } from '../object.ts'
import { known } from '../resources.ts'
import type { Cluster } from '../cluster.ts'
import type { Change } from '../store.ts'
import type { ControlContext } from './controller.ts'
import { tell } from './events.ts'
import { objectionTo, preference, requestsOf, type Usage } from './node-fit.ts'

const pods = known('v1', 'Pod')
const nodes = known('v1', 'Node')

/** Runs until stopped. A pod that fits nowhere is tried again whenever a node changes or a pod leaves one. */
export function runScheduler({ cluster, warn }: ControlContext): () => void {
  const { store } = cluster
  const waiting = new Map<string, KubeObject>()
  const ledger = new Ledger()
  let scheduled = false
  let stopped = false
  const pass = () => {
    scheduled = false
    if (stopped) return
    const queue = [...waiting.values()].sort((a, b) => priority(b) - priority(a))
    for (const { metadata } of queue)
      try {
        const pod = store.find(pods, metadata.namespace, metadata.name)
        if (pod && isWaiting(pod)) place(cluster, pod, ledger)
      } catch (error) {
        warn({ err: error, pod: metadata.name }, 'scheduling failed')
      }
  }
  const wake = () => {
    if (!scheduled && waiting.size > 0) setImmediate(pass)
    scheduled = waiting.size > 0
  }
  const onPod = ({ type, object, previous }: Change) => {
    const { uid } = object.metadata
    const freed = ledger.update(type === 'DELETED' ? undefined : object, uid)
    if (type !== 'DELETED' && isWaiting(object)) {
      // its own status is no news to the scheduler
      const isNews = !previous || at(object, 'spec') !== at(previous, 'spec')
      waiting.set(uid, object)
      if (isNews || freed) wake()
    } else {
      waiting.delete(uid)
      if (freed) wake()
    }
  }
  for (const object of store.list(pods)) onPod({ type: 'ADDED', object, revision: 0 })
  const stops = [store.watch(pods, store.revision, onPod), store.watch(nodes, store.revision, wake)]
  return () => {
    stopped = true
    stops.forEach((stop) => stop())
  }
}

const priority = (pod: KubeObject) => Number(at(pod, 'spec', 'priority') ?? 0)

const isWaiting = (pod: KubeObject): boolean =>
  !at(pod, 'spec', 'nodeName') &&
  !pod.metadata.deletionTimestamp &&
  at(pod, 'spec', 'schedulerName') === 'default-scheduler' &&
  !at<Json[]>(pod, 'spec', 'schedulingGates')?.length

/** What is taken of each node, by pods that have not ended. */
class Ledger {
  readonly #nodes = new Map<string, Map<string, number>>()
  readonly #pods = new Map<string, { node: string; requests: Usage }>()

  used(node: string): Usage | undefined {
    return this.#nodes.get(node)
  }

  /** Books what a pod takes now, or nothing when it is gone; true when something became free. */
  update(pod: KubeObject | undefined, uid: string): boolean {
    const node = at<string>(pod, 'spec', 'nodeName')
    const ended = ['Succeeded', 'Failed'].includes(String(at(pod, 'status', 'phase')))
    const booked = this.#pods.get(uid)
    if (node && !ended) {
      if (!booked) {
        const requests = requestsOf(pod)
        this.#pods.set(uid, { node, requests })
        this.#add(node, requests, 1)
      }
      return false
    }
    if (!booked) return false
    this.#pods.delete(uid)
    this.#add(booked.node, booked.requests, -1)
    return true
  }

  #add(node: string, requests: Usage, sign: 1 | -1): void {
    const own = this.#nodes.get(node) ?? new Map<string, number>()
    this.#nodes.set(node, own)
    for (const [name, amount] of requests) own.set(name, (own.get(name) ?? 0) + sign * amount)
  }
}

function place(cluster: Cluster, pod: KubeObject, ledger: Ledger): void {
  const all = cluster.store.list(nodes)
  const wanted = requestsOf(pod)
  const objections = new Map<string, number>()
  let best: { name: string; score: number } | undefined
  for (const node of all) {
    const { name } = node.metadata
    const used = ledger.used(name)
    const objection = objectionTo(pod, node, wanted, used)
    if (objection) objections.set(objection, (objections.get(objection) ?? 0) + 1)
    else {
      const score = preference(pod, node) * 100_000 - (used?.get('pods') ?? 0)
      if (!best || score > best.score) best = { name, score }
    }
  }
  if (!best) return refuse(cluster, pod, all.length, objections)
  bind({ cluster }, pod, best.name)
  tell(
    cluster,
    pod,
    'default-scheduler',
    'Normal',
    'Scheduled',
    `Successfully assigned ${pod.metadata.namespace}/${pod.metadata.name} to ${best.name}`
  )
}

function refuse(
  cluster: Cluster,
  pod: KubeObject,
  count: number,
  objections: ReadonlyMap<string, number>
): void {
  const why = [...objections].map(([text, times]) => `${times} ${text}`).sort()
  const message =
    count === 0
      ? 'no nodes available to schedule pods'
      : `0/${count} nodes are available: ${why.join(', ')}. preemption: not helpful for scheduling.`
  const status = at<Json>(pod, 'status') ?? {}
  const conditions = at<Json[]>(status, 'conditions') ?? []
  if (conditions.find((one) => one.type === 'PodScheduled')?.message === message) return
  const condition = {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    message,
    lastProbeTime: null,
    lastTransitionTime: now()
  }
  cluster.change(pods, pod.metadata.namespace, pod.metadata.name, (found) => ({
    ...found,
    status: {
      ...status,
      conditions: [...conditions.filter((one) => one.type !== 'PodScheduled'), condition]
    }
  }))
  tell(cluster, pod, 'default-scheduler', 'Warning', 'FailedScheduling', message)
}
