import type { SubmittedJob, Usage } from '../backend.ts'
import type { Site } from '../sites/site.ts'

/** Nobody has asked the supervisor for longer than this, or its clock is another's; ms. */
const staleMs = 120_000

/** What a supervisor has written into `usage`, where it is of now. See docs/reference/job-directory.md. */
export function parseUsage(text: string, now: number): Usage | undefined {
  const [head = '', ...lines] = text.split('\n')
  const at = Number(/^at=(\d+)$/.exec(head)?.[1])
  if (Number.isNaN(at) || Math.abs(now - at) > staleMs) return undefined
  const containers = lines.flatMap((line) => {
    const [, name, cpuMs, bytes] = /^(\S+) (\d+) (\d+)$/.exec(line) ?? []
    return name ? [{ name, cpuSeconds: Number(cpuMs) / 1000, memoryBytes: Number(bytes) }] : []
  })
  return { at, containers }
}

/** What the supervisors of these jobs have measured, by UID, where they have. */
export async function measuredUsage(
  site: Pick<Site, 'usage'>,
  jobs: readonly SubmittedJob[]
): Promise<Map<string, Usage>> {
  const texts = await site.usage(jobs.map(({ dir }) => dir))
  const now = Date.now()
  const used = jobs.flatMap(({ uid, dir }) => {
    const usage = parseUsage(texts.get(dir) ?? '', now)
    return usage ? [[uid, usage] as const] : []
  })
  return new Map(used)
}
