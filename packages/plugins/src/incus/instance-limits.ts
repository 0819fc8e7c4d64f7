import type { Plan } from '../kit/plan/plan.ts'

/** What the containers of a pod may use together; only where each says how much. Millicores and bytes. */
export function limitsOf({ containers, resources }: Plan): { cpuMillis?: number; memoryBytes?: number } {
  const cpuMillis = total(
    containers.map(({ limits }) => limits.cpuMillis),
    resources.cpuMillis
  )
  const memoryBytes = total(
    containers.map(({ limits }) => limits.memoryBytes),
    resources.memoryBytes
  )
  return {
    ...(cpuMillis === undefined ? {} : { cpuMillis }),
    ...(memoryBytes === undefined ? {} : { memoryBytes })
  }
}

function total(limits: readonly (number | undefined)[], requested: number): number | undefined {
  let sum = 0
  for (const limit of limits) {
    if (limit === undefined) return undefined
    sum += limit
  }
  return Math.max(sum, requested)
}
