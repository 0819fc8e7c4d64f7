import type { PingResponse } from '@interlink-ts/interlink-api/wire'
import { isUsable, type NodeFacts } from './commands.ts'
import type { SlurmOptions } from './options.ts'
import type { SlurmClient } from './slurm-client.ts'

/** What the usable nodes have in all; what is busy counts, as jobs wait in the queue. */
export async function offeredResources(
  slurm: Pick<SlurmClient, 'nodes'>,
  options: Pick<SlurmOptions, 'partition' | 'taints'>
): Promise<Pick<PingResponse, 'resources' | 'taints'>> {
  const nodes = (await slurm.nodes(options.partition)).filter(isUsable)
  return {
    // In doubt nothing is said, rather than zero.
    ...(nodes.length > 0 ? { resources: sum(nodes) } : {}),
    ...(options.taints ? { taints: options.taints } : {})
  }
}

function sum(nodes: readonly NodeFacts[]): NonNullable<PingResponse['resources']> {
  const total = (of: (node: NodeFacts) => number) => nodes.reduce((all, node) => all + of(node), 0)
  const gpus = total(({ gres }) =>
    Object.entries(gres).reduce((all, [name, count]) => all + (/^gpu(:|$)/.test(name) ? count : 0), 0)
  )
  return {
    cpu: String(total(({ cpus }) => cpus)),
    memory: `${total(({ memoryMiB }) => memoryMiB)}Mi`,
    ...(gpus > 0 ? { accelerators: [{ resourceType: 'nvidia.com/gpu', available: String(gpus) }] } : {})
  }
}
