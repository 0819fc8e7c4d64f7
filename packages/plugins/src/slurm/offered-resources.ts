import type { PingResponse } from '@interlink-ts/interlink-api/wire'
import { acceleratorsOf } from './accelerators.ts'
import { isUsable, type ClusterFacts, type NodeFacts } from './cluster-facts.ts'
import type { SlurmOptions } from './options.ts'

/** What the usable nodes have in all, as jobs wait in the queue for what is busy; `free` is what does not wait. */
export function offeredResources(
  { nodes: all, partitions }: ClusterFacts,
  { batch, containers }: Pick<SlurmOptions, 'batch' | 'containers'>
): Pick<PingResponse, 'resources' | 'queues'> {
  const nodes = all.filter(isUsable)
  // In doubt nothing is said, rather than zero.
  if (nodes.length === 0) return {}
  const total = (of: (node: NodeFacts) => number) => nodes.reduce((sum, node) => sum + of(node), 0)
  const accelerators = acceleratorsOf(nodes, { extended: batch.resources.extended, gpu: containers.gpu })
  return {
    resources: {
      cpu: String(total(({ cpus }) => cpus)),
      memory: `${total(({ memoryMiB }) => memoryMiB)}Mi`,
      ...(accelerators.length > 0 ? { accelerators } : {}),
      free: {
        cpu: String(total(({ idleCpus }) => idleCpus)),
        memory: `${total(({ memoryMiB, allocatedMiB }) => Math.max(0, memoryMiB - allocatedMiB))}Mi`
      }
    },
    queues: partitions
      .filter(({ open }) => open)
      .map(({ name, nodes, maxSeconds, default: isDefault }) => ({
        name,
        nodes,
        ...(maxSeconds === undefined ? {} : { maxSeconds }),
        ...(isDefault ? { default: true } : {})
      }))
  }
}
