import { eventually } from '../support/eventually.ts'
import type { KubeRequests } from './kube-requests.ts'

/** Connections of every creator, of the ceiling and of the node's runs alike. */
export const sockets = 16

export const podsPath = (namespace: string): string => `/api/v1/namespaces/${namespace}/pods`

export interface CreatedPod {
  name: string
  uid: string
}

/** A pod as small as real ones get: one container, no token, bound to its node from the start. */
const pod = (name: string, nodeName: string, command: readonly string[]) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    nodeName,
    restartPolicy: 'Never',
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 1,
    tolerations: [{ operator: 'Exists' }],
    containers: [{ name: 'main', image: 'host', command }]
  }
})

export interface CreateOptions {
  namespace: string
  count: number
  /** @default sleep 1000 */
  command?: readonly string[]
  /** Name of the node that the pod of this index is bound to. */
  nodeOf: (index: number) => string
  /** Called before each pod is sent. */
  onSend: (name: string) => void
  /** Called by the worker once its pod is there; the worker waits for it. */
  onCreated?: (pod: CreatedPod) => Promise<void>
}

/** Creates pods one after the other on every socket, as fast as they are accepted. */
export async function createPods(
  kube: KubeRequests,
  { namespace, count, command = ['sleep', '1000'], nodeOf, onSend, onCreated }: CreateOptions
): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next++
      const name = `pod-${String(index).padStart(5, '0')}`
      onSend(name)
      const { metadata } = await kube.post<{ metadata: CreatedPod }>(
        podsPath(namespace),
        pod(name, nodeOf(index), command)
      )
      await onCreated?.(metadata)
    }
  }
  await Promise.all(Array.from({ length: sockets }, worker))
}

export const createNamespace = async (kube: KubeRequests, name: string): Promise<void> => {
  await kube.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  // Its default ServiceAccount, without which pods are refused, comes a moment later.
  await eventually(() => kube.get(`/api/v1/namespaces/${name}/serviceaccounts/default`))
}
