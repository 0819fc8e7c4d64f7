import { readFile } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
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

/** The least limit of the control groups that the plugin is in, cgroups(7); Infinity where there is none. */
export async function memoryLimit(mounted = '/sys/fs/cgroup', own = '/proc/self/cgroup'): Promise<number> {
  const path = await readFile(own, 'utf8')
    .then((text) => /^0::(.*)$/m.exec(text)?.[1])
    .catch(() => undefined)
  if (path === undefined) return Infinity
  const parts = path.split('/').filter((part) => part !== '')
  const groups = [mounted, ...parts.map((_, index) => join(mounted, ...parts.slice(0, index + 1)))]
  const limits = await Promise.all(
    groups.map(async (group) => {
      const text = (await readFile(join(group, 'memory.max'), 'utf8').catch(() => 'max')).trim()
      return /^\d+$/.test(text) ? Number(text) : Infinity
    })
  )
  return Math.min(...limits)
}
