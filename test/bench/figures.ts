import { cpus, totalmem } from 'node:os'
import { readFile } from 'node:fs/promises'

/** What a bench says in the end: a flat object, so that any tool can pick a figure by its name. */
export type Figures = Record<string, number | string | boolean>

/** The value below which this share (0 to 1) of the samples lies, by nearest rank. */
export function percentile(samples: Iterable<number>, share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  if (sorted.length === 0) return Number.NaN
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!
}

export const round = (value: number, digits = 1): number => Number(value.toFixed(digits))

/** A figure, the ceiling of the same run, and their ratio. */
export function againstCeiling(name: string, value: number, ceiling: number): Figures {
  return {
    [name]: round(value),
    [`${name}Ceiling`]: round(ceiling),
    [`${name}CeilingRatio`]: round(value / ceiling, 3)
  }
}

export const machine = (): Figures => ({
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memoryGiB: round(totalmem() / 2 ** 30),
  node: process.version
})

/** Resident memory of a process now, and the most it ever had, in MB (10^6 bytes). */
export async function memoryOf(pid: number): Promise<{ rss: number; peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const megabytes = (field: string) =>
    round((Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024) / 1e6)
  return { rss: megabytes('VmRSS'), peak: megabytes('VmHWM') }
}
