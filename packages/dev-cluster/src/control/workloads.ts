/** Small Deployment and ReplicaSet controllers: enough to keep pods and to roll one template over to the next. */
import { createHash } from 'node:crypto'
import { at, now, ownedBy, type Json, type KubeObject } from '../object.ts'
import { known } from '../resources.ts'
import { objectSelector } from '../selectors.ts'
import type { Controller, ControlContext } from './controller.ts'
import { tell } from './events.ts'

const pods = known('v1', 'Pod')
const replicaSets = known('apps/v1', 'ReplicaSet')
const deployments = known('apps/v1', 'Deployment')
const revisionKey = 'deployment.kubernetes.io/revision'

const terminal = (pod: KubeObject) => ['Succeeded', 'Failed'].includes(String(at(pod, 'status', 'phase')))
export const isReady = (pod: KubeObject) =>
  at<Json[]>(pod, 'status', 'conditions')?.some((one) => one.type === 'Ready' && one.status === 'True') ??
  false
export const controllerOf = (owner: KubeObject) => [
  {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid,
    controller: true,
    blockOwnerDeletion: true
  }
]

export const replicaSetController: Controller = {
  resource: replicaSets,
  owns: [pods],
  reconcile(set, context) {
    if (set.metadata.deletionTimestamp) return
    const { cluster } = context
    const { namespace, name } = set.metadata
    const wanted = at<number>(set, 'spec', 'replicas') ?? 1
    const own = cluster.store
      .list(pods, namespace)
      .filter((pod) => ownedBy(pod, set.metadata.uid) && !pod.metadata.deletionTimestamp && !terminal(pod))
    for (let missing = wanted - own.length; missing > 0; missing--) makePod(set, context)
    const surplus = [...own]
      .sort((a, b) => Number(isReady(a)) - Number(isReady(b)))
      .slice(0, Math.max(0, own.length - wanted))
    for (const pod of surplus) cluster.delete(pods, pod)
    const ready = own.filter(isReady).length
    // pods made or deleted just now come back as changes of their own
    cluster.change(replicaSets, namespace, name, (current) => ({
      ...current,
      status: {
        replicas: own.length,
        readyReplicas: ready,
        availableReplicas: ready,
        fullyLabeledReplicas: own.length,
        observedGeneration: set.metadata.generation
      }
    }))
  }
}

function makePod(set: KubeObject, { cluster }: ControlContext): void {
  const { namespace, name } = set.metadata
  const template = at<Json>(set, 'spec', 'template') ?? {}
  const pod = cluster.create(pods, namespace, {
    ...template,
    metadata: { ...(template.metadata as Json), generateName: `${name}-`, ownerReferences: controllerOf(set) }
  })
  tell(
    cluster,
    set,
    'replicaset-controller',
    'Normal',
    'SuccessfulCreate',
    `Created pod: ${pod.metadata.name}`
  )
}

export const deploymentController: Controller = {
  resource: deployments,
  owns: [replicaSets],
  reconcile(deployment, { cluster }) {
    if (deployment.metadata.deletionTimestamp || at(deployment, 'spec', 'paused')) return
    const { namespace, name, uid, generation } = deployment.metadata
    const template = at<Json>(deployment, 'spec', 'template') ?? {}
    const hash = createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 10)
    const wanted = at<number>(deployment, 'spec', 'replicas') ?? 1
    const sets = cluster.store.list(replicaSets, namespace).filter((set) => ownedBy(set, uid))
    const revisionOf = (set: KubeObject) => Number(set.metadata.annotations?.[revisionKey] ?? 0)
    const revision = Math.max(0, ...sets.map(revisionOf))
    let current = sets.find((set) => set.metadata.labels?.['pod-template-hash'] === hash)
    if (!current) {
      const labels = {
        ...at<Record<string, string>>(template, 'metadata', 'labels'),
        'pod-template-hash': hash
      }
      const selector = at<Json>(deployment, 'spec', 'selector') ?? {}
      current = cluster.create(replicaSets, namespace, {
        metadata: {
          name: `${name}-${hash}`,
          labels,
          annotations: { [revisionKey]: String(revision + 1) },
          ownerReferences: controllerOf(deployment)
        },
        spec: {
          replicas: wanted,
          selector: {
            ...selector,
            matchLabels: { ...at<Json>(selector, 'matchLabels'), 'pod-template-hash': hash }
          },
          template: { ...template, metadata: { ...(template.metadata as Json), labels } }
        }
      })
    }
    const ready = at<number>(current, 'status', 'readyReplicas') ?? 0
    // going back to an older template makes it the newest revision
    const newest = String(
      current.metadata.annotations?.[revisionKey] && revisionOf(current) < revision
        ? revision + 1
        : revisionOf(current)
    )
    const recreates = at(deployment, 'spec', 'strategy', 'type') === 'Recreate'
    const scale = (set: KubeObject, replicas: number) =>
      cluster.change(replicaSets, namespace, set.metadata.name, (found) => ({
        ...found,
        metadata:
          set === current
            ? { ...found.metadata, annotations: { ...found.metadata.annotations, [revisionKey]: newest } }
            : found.metadata,
        spec: { ...(found.spec as Json), replicas }
      }))
    const others = sets.filter((set) => set !== current)
    const emptied = others.every((set) => !at<number>(set, 'status', 'replicas'))
    if (!recreates || emptied) scale(current, wanted)
    // the old pods stay until the new ones are ready, unless they are to go first
    if (recreates || ready >= wanted) for (const set of others) scale(set, 0)
    const selected = objectSelector(at(deployment, 'spec', 'selector'))
    const own = cluster.store
      .list(pods, namespace)
      .filter((pod) => selected(pod) && !pod.metadata.deletionTimestamp && !terminal(pod))
    const available = own.filter(isReady).length
    const before = at<Json[]>(deployment, 'status', 'conditions') ?? []
    const status = (type: string, good: boolean, reason: string) => {
      const old = before.find((one) => one.type === type)
      const word = good ? 'True' : 'False'
      return old?.status === word && old.reason === reason
        ? old
        : { type, status: word, reason, lastUpdateTime: now(), lastTransitionTime: now() }
    }
    cluster.change(deployments, namespace, name, (found) => ({
      ...found,
      metadata: {
        ...found.metadata,
        annotations: { ...found.metadata.annotations, [revisionKey]: newest }
      },
      status: {
        observedGeneration: generation,
        replicas: own.length,
        updatedReplicas: at<number>(current, 'status', 'replicas') ?? 0,
        readyReplicas: available,
        availableReplicas: available,
        unavailableReplicas: Math.max(0, wanted - available),
        conditions: [
          status(
            'Available',
            available >= wanted,
            available >= wanted ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable'
          ),
          status('Progressing', true, ready >= wanted ? 'NewReplicaSetAvailable' : 'ReplicaSetUpdated')
        ]
      }
    }))
  }
}
