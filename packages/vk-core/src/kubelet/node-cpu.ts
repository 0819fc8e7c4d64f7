import type { PodUsage } from '@interlink-ts/interlink-api/wire'

/** CPU time of a node as a counter that only grows, though its pods come and go. */
export function createNodeCpu() {
  let total = 0
  let last = new Map<string, number>()
  return {
    /** @returns seconds since the first pod that was seen */
    take(usage: readonly PodUsage[]): number {
      const now = new Map<string, number>()
      for (const { UID, containers } of usage)
        for (const { name, cpuSeconds } of containers) {
          const key = `${UID}/${name}`
          total += Math.max(0, cpuSeconds - (last.get(key) ?? 0))
          now.set(key, cpuSeconds)
        }
      last = now
      return total
    }
  }
}
