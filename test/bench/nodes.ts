import { eventually } from '../support/eventually.ts'
import type { KubeRequests } from './kube-requests.ts'

interface Node {
  metadata: { name: string }
  status?: { conditions?: { type: string; status: string; lastHeartbeatTime?: string }[] }
}

interface Lease {
  metadata: { name: string }
  spec?: { renewTime?: string }
}

const isReady = ({ status }: Node): boolean =>
  status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false

/** Waits until so many nodes are Ready; returns `performance.now()` of that moment. */
export async function nodesReady(kube: KubeRequests, count: number, deadlineMs: number): Promise<number> {
  await eventually(
    async () => (await kube.get<{ items: Node[] }>('/api/v1/nodes')).items.filter(isReady).length >= count,
    { deadlineMs, everyMs: count === 1 ? 10 : 2_000 }
  )
  return performance.now()
}

export const readyNodes = async (kube: KubeRequests): Promise<number> =>
  (await kube.get<{ items: Node[] }>('/api/v1/nodes')).items.filter(isReady).length

/** Seconds since the least recently renewed lease of these nodes; a node without one counts as never. */
export async function oldestLease(kube: KubeRequests, nodes: readonly string[]): Promise<number> {
  const { items } = await kube.get<{ items: Lease[] }>(
    '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'
  )
  const now = Date.now()
  const ages = new Map(
    items.map(({ metadata, spec }) => [metadata.name, (now - Date.parse(spec?.renewTime ?? '')) / 1000])
  )
  return Math.max(...nodes.map((name) => ages.get(name) ?? Number.POSITIVE_INFINITY))
}
