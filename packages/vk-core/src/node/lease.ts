import { isNotFound, type KubeClient } from '../kube/index.ts'

export const leaseDurationSeconds = 40
export const leaseRenewMs = 10_000

const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'

/**
 * Renews a node's lease by a patch that needs no read before it; creates it where there is none.
 * The owner is told once per node object, so that the lease goes with it.
 */
export async function renewLease(
  kube: KubeClient,
  node: { readonly name: string; readonly uid: string },
  now: Date,
  tellOwner: boolean
): Promise<void> {
  const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: node.name, uid: node.uid }]
  const spec = {
    holderIdentity: node.name,
    leaseDurationSeconds,
    renewTime: now.toISOString().replace('Z', '000Z')
  }
  try {
    const patch = { ...(tellOwner && { metadata: { ownerReferences } }), spec }
    await kube.patch(`${leases}/${node.name}`, patch, 'merge', undefined, { timeoutMs: leaseRenewMs })
  } catch (error) {
    if (!isNotFound(error)) throw error
    const metadata = { name: node.name, namespace: 'kube-node-lease', ownerReferences }
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec }
    await kube.create(leases, lease, undefined, { timeoutMs: leaseRenewMs })
  }
}
