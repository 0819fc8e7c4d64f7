import type { ContainerUsage, SubmittedJob, Usage } from '../kit/backend.ts'
import { readJson } from '../kit/jobs/durable-file.ts'
import { planFile } from '../kit/jobs/job-directory.ts'
import { parseUsage } from '../kit/jobs/measured-usage.ts'
import type { Plan } from '../kit/plan/plan.ts'
import { jobPath } from './first-program.ts'
import { formOf } from './form-of.ts'
import { InstanceFiles, type IncusConnection } from './rest/index.ts'

/** Of all running instances: OpenMetrics, which Incus keeps for eight seconds. */
const metricsPath = '/1.0/metrics'
const metric = /^(incus_cpu_seconds_total|incus_memory_RSS_bytes)\{([^}]*)\} ([\d.eE+-]+)$/

type Measured = Pick<ContainerUsage, 'cpuSeconds' | 'memoryBytes'>

/** CPU time and resident memory by instance. Pure. */
export function parseMetrics(text: string): ReadonlyMap<string, Measured> {
  const found = new Map<string, Measured>()
  for (const line of text.split('\n')) {
    const [, kind, labels = '', value] = metric.exec(line) ?? []
    const [, name] = /(?:^|,)name="([^"]*)"/.exec(labels) ?? []
    if (kind === undefined || name === undefined || /mode="(idle|iowait|steal)"/.test(labels)) continue
    const { cpuSeconds, memoryBytes } = found.get(name) ?? { cpuSeconds: 0, memoryBytes: 0 }
    const amount = Number(value)
    found.set(
      name,
      kind === 'incus_memory_RSS_bytes'
        ? { cpuSeconds, memoryBytes: memoryBytes + amount }
        : { cpuSeconds: cpuSeconds + amount, memoryBytes }
    )
  }
  return found
}

/**
 * By UID. A pod of one container is its instance, which is in one answer with all others; what several containers of one
 * instance use is measured by their supervisor, which is asked each time for the next one.
 */
export async function usageOf(
  incus: IncusConnection,
  jobs: readonly SubmittedJob[]
): Promise<ReadonlyMap<string, Usage>> {
  if (jobs.length === 0) return new Map()
  const at = Date.now()
  const measured = parseMetrics((await incus.content('GET', metricsPath)).body.toString())
  const usages = await Promise.all(
    jobs.map(async ({ uid, jobId, dir }) => {
      const instance = measured.get(jobId)
      if (!instance) return []
      const plan = (await readJson(planFile(dir)).catch(() => undefined)) as Plan | undefined
      const names = plan?.containers.filter(({ kind }) => kind !== 'init').map(({ name }) => name) ?? []
      // What a virtual machine uses is its system's as well.
      const isAlone = names.length === 1 && plan && formOf(plan).type === 'container'
      if (isAlone) return [[uid, { at, containers: [{ name: names[0]!, ...instance }] }] as const]
      const usage = await ask(new InstanceFiles(incus, jobId), at).catch(() => undefined)
      return usage ? [[uid, usage] as const] : []
    })
  )
  return new Map(usages.flat())
}

async function ask(files: InstanceFiles, now: number): Promise<Usage | undefined> {
  const text = (await files.read(`${jobPath}/usage`))?.toString() ?? ''
  await files.push(`${jobPath}/measure`, { type: 'file', mode: 0o600, content: '' })
  return parseUsage(text, now)
}
