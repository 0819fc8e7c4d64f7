import { createReflector, type KubeClient, type KubeObject, type Log } from '../kube/index.ts'
import type { NodeKeeper } from './node-keeper.ts'
import type { NodeObject } from './types.ts'

/**
 * Tells each keeper what becomes of its object: one watch for all, by name where there is one node, by the label that
 * every virtual node has where there are many.
 */
export function watchNodes(
  client: KubeClient,
  keepers: ReadonlyMap<string, NodeKeeper>,
  log: Log
): { stop(): Promise<void> } {
  const [only] = keepers.keys()
  const reflector = createReflector<NodeObject & KubeObject>({
    client,
    path: '/api/v1/nodes',
    query:
      keepers.size === 1
        ? { fieldSelector: `metadata.name=${only}` }
        : { labelSelector: 'virtual-node.interlink/type=virtual-kubelet' },
    log,
    onChange: ({ type, object }) =>
      keepers.get(object.metadata.name)?.observe(type === 'deleted' ? undefined : object)
  })
  reflector.start()
  return { stop: () => reflector.stop() }
}
