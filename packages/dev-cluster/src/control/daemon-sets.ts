/** A small DaemonSet controller: one pod on each node that takes it; a pod that failed is made anew, ever more slowly. */
import { at, ownedBy, type Json, type KubeObject } from '../object.ts'
import { known } from '../resources.ts'
import type { Controller, ControlContext } from './controller.ts'
import { tell } from './events.ts'
import { nodeAdmits } from './node-fit.ts'
import { controllerOf, isReady } from './workloads.ts'

const pods = known('v1', 'Pod')
const nodes = known('v1', 'Node')
const daemonSets = known('apps/v1', 'DaemonSet')
const firstDelayMs = 1000
const longestDelayMs = 15 * 60_000

const tolerations = [
  ...['not-ready', 'unreachable'].map((key) => ({ key: `node.kubernetes.io/${key}`, effect: 'NoExecute' })),
  ...['disk-pressure', 'memory-pressure', 'pid-pressure', 'unschedulable', 'not-ready', 'unreachable'].map(
    (key) => ({ key: `node.kubernetes.io/${key}`, effect: 'NoSchedule' })
  )
].map((one) => ({ ...one, operator: 'Exists' }))

/** A controller with a memory of failures, for one cluster. */
export function daemonSetController(): Controller {
  const failures = new Map<string, { count: number; retryAt: number }>()
  return {
    resource: daemonSets,
    owns: [pods],
    wokenBy: [nodes],
    reconcile(set, context) {
      if (set.metadata.deletionTimestamp) return
      const { cluster } = context
      const { namespace, name, uid, generation } = set.metadata
      const own = cluster.store.list(pods, namespace).filter((pod) => ownedBy(pod, uid))
      const template = at<Json>(set, 'spec', 'template')!
      const model = { metadata: set.metadata, spec: withTolerations(template.spec as Json) }
      const eligible = cluster.store.list(nodes).filter((node) => nodeAdmits(model, node))
      let wait = Infinity
      for (const node of eligible) {
        const { name: nodeName } = node.metadata
        const here = own.filter((pod) => target(pod) === nodeName)
        const failed = here.filter((pod) => at(pod, 'status', 'phase') === 'Failed')
        const key = `${uid}/${nodeName}`
        const memory = failures.get(key) ?? { count: 0, retryAt: 0 }
        for (const pod of failed)
          if (!pod.metadata.deletionTimestamp) {
            const delay = Math.min(longestDelayMs, firstDelayMs * 2 ** memory.count++)
            memory.retryAt = Date.now() + delay
            cluster.delete(pods, pod)
          }
        failures.set(key, memory)
        if (here.length > failed.length) continue
        if (Date.now() >= memory.retryAt) makePod(set, nodeName, context)
        else wait = Math.min(wait, memory.retryAt - Date.now())
      }
      const wanted = new Set(eligible.map((node) => node.metadata.name))
      const surplus = own.filter((pod) => !wanted.has(target(pod)) && !pod.metadata.deletionTimestamp)
      for (const pod of surplus) cluster.delete(pods, pod)
      const standing = own.filter((pod) => wanted.has(target(pod)) && !pod.metadata.deletionTimestamp)
      const ready = standing.filter(isReady).length
      cluster.change(daemonSets, namespace, name, (found) => ({
        ...found,
        status: {
          currentNumberScheduled: standing.length,
          desiredNumberScheduled: eligible.length,
          numberMisscheduled: surplus.length,
          numberReady: ready,
          numberAvailable: ready,
          numberUnavailable: eligible.length - ready,
          updatedNumberScheduled: standing.length,
          observedGeneration: generation
        }
      }))
      return Number.isFinite(wait) ? wait : undefined
    }
  }
}

const withTolerations = (spec: Json): Json => ({
  ...spec,
  tolerations: [...((spec.tolerations as Json[] | undefined) ?? []), ...tolerations]
})

const nodeTerm = ['spec', 'affinity', 'nodeAffinity', 'requiredDuringSchedulingIgnoredDuringExecution']

/** The node that a pod of a DaemonSet was made for. */
const target = (pod: KubeObject): string =>
  at<string>(pod, ...nodeTerm, 'nodeSelectorTerms', 0, 'matchFields', 0, 'values', 0) ?? ''

function makePod(set: KubeObject, node: string, { cluster }: ControlContext): void {
  const { namespace, name } = set.metadata
  const template = at<Json>(set, 'spec', 'template')!
  const spec = withTolerations(template.spec as Json)
  const field = { key: 'metadata.name', operator: 'In', values: [node] }
  const pod = cluster.create(pods, namespace, {
    metadata: {
      ...(template.metadata as Json),
      generateName: `${name}-`,
      ownerReferences: controllerOf(set)
    },
    spec: {
      ...spec,
      affinity: {
        ...at<Json>(spec, 'affinity'),
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields: [field] }] }
        }
      }
    }
  })
  tell(
    cluster,
    set,
    'daemonset-controller',
    'Normal',
    'SuccessfulCreate',
    `Created pod: ${pod.metadata.name}`
  )
}
