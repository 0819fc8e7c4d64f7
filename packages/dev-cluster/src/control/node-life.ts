/** A node whose lease is not renewed for 40 s becomes Unknown, as the node lifecycle controller does. */
import { at, now, type Json } from '../object.ts'
import { known } from '../resources.ts'
import type { Controller } from './controller.ts'

const nodes = known('v1', 'Node')
const leases = known('coordination.k8s.io/v1', 'Lease')
const graceMs = 40_000

export const nodeLifeController: Controller = {
  resource: nodes,
  reconcile(node, { cluster }) {
    const lease = cluster.store.find(leases, 'kube-node-lease', node.metadata.name)
    const renewed = Date.parse(at<string>(lease, 'spec', 'renewTime') ?? node.metadata.creationTimestamp)
    const left = renewed + graceMs - Date.now()
    if (left > 0) return left + 1000
    const conditions = at<Json[]>(node, 'status', 'conditions') ?? []
    if (conditions.some((one) => one.type === 'Ready' && one.status !== 'Unknown'))
      cluster.change(nodes, undefined, node.metadata.name, (found) => ({
        ...found,
        status: {
          ...(found.status as Json),
          conditions: conditions.map((one) =>
            one.type === 'Ready'
              ? {
                  ...one,
                  status: 'Unknown',
                  reason: 'NodeStatusUnknown',
                  message: 'Kubelet stopped posting node status.',
                  lastTransitionTime: now()
                }
              : one
          )
        }
      }))
    return 5000
  }
}
