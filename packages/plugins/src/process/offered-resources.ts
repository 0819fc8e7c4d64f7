import { readFile } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import type { PingResponse } from '@interlink-ts/interlink-api/wire'
import type { ProcessOptions } from './options.ts'

/** What the node offers: the machine, less what is reserved, or what the configuration says in its place. */
export async function offeredResources(
  options: ProcessOptions
): Promise<Pick<PingResponse, 'resources' | 'taints'>> {
  const { cpu, memory, ...others } = options.resources
  const millis = Math.max(0, Math.floor((availableParallelism() - options.reserved.cpu) * 1000))
  const bytes = Math.max(0, Math.min(totalmem(), await memoryLimit()) - options.reserved.memoryBytes)
  return {
    resources: {
      cpu: cpu ?? (millis % 1000 === 0 ? String(millis / 1000) : `${millis}m`),
      memory: memory ?? `${Math.floor(bytes / 1024)}Ki`,
      ...others
    },
    ...(options.taints ? { taints: options.taints } : {})
  }
}

/** The limit of the control group that the plugin is in, cgroups(7); Infinity where there is none. */
async function memoryLimit(): Promise<number> {
  const path = await readFile('/proc/self/cgroup', 'utf8')
    .then((text) => /^0::(.*)$/m.exec(text)?.[1])
    .catch(() => undefined)
  if (path === undefined) return Infinity
  const text = await readFile(`/sys/fs/cgroup${path}/memory.max`, 'utf8').catch(() => 'max')
  return /^\d+$/.test(text.trim()) ? Number(text) : Infinity
}
