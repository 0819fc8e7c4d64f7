import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { exists, readJson, writeDurable } from '../kit/jobs/durable-file.ts'
import { listJobDirectories, planFile } from '../kit/jobs/job-directory.ts'
import type { Plan, PlannedContainer } from '../kit/plan/plan.ts'
import { adoptedFile, word } from './adopt.ts'
import { CarriedLog } from './carried-log.ts'

interface Adopted {
  /** The reference's directory of the job. */
  readonly from: string
  readonly containers: readonly Pick<PlannedContainer, 'name' | 'kind'>[]
  readonly logs: Map<string, CarriedLog>
}

/** Jobs whose scripts are the reference's: what they write in its directories is carried over into the plugin's own. */
export class AdoptedJobs {
  /** By the plugin's own directory. */
  readonly #known = new Map<string, Adopted>()

  /** Finds those of a root; no others come before the plugin starts again. */
  async load(root: string): Promise<void> {
    for (const dir of await listJobDirectories(root)) {
      const adopted = await readAdopted(dir)
      if (adopted) this.#known.set(dir, adopted)
    }
  }

  has(dir: string): boolean {
    return this.#known.has(dir)
  }

  /** Takes over what these jobs have said since; nothing for jobs of the plugin's own. */
  async carry(jobs: readonly { readonly dir: string }[]): Promise<void> {
    for (const { dir } of jobs) {
      const job = this.#known.get(dir)
      if (job) await carryOver(dir, job)
    }
  }

  /** The job has ended. The reference's directory goes with the deletion of its pod. */
  async release(dir: string): Promise<void> {
    const job = this.#known.get(dir)
    if (!job || !(await exists(join(dir, 'deleted.json')))) return
    await carryOver(dir, job)
    await rm(job.from, { recursive: true, force: true })
    this.#known.delete(dir)
  }
}

async function readAdopted(dir: string): Promise<Adopted | undefined> {
  const adopted = (await readJson(join(dir, adoptedFile))) as { readonly from: string } | undefined
  if (!adopted) return undefined
  const { containers } = (await readJson(planFile(dir))) as Plan
  return { from: adopted.from, containers, logs: new Map() }
}

/** Logs first, so that an end that is seen has its log. */
async function carryOver(dir: string, { from, containers, logs }: Adopted): Promise<void> {
  let ended = true
  let failed = false
  let last = 0
  for (const { name, kind } of containers) {
    const file = join(from, `${kind === 'init' ? 'init' : 'run'}-${name}`)
    const [output, status, code] = await Promise.all([
      timesOf(`${file}.out`),
      timesOf(`${file}.status`),
      word(`${file}.status`)
    ])
    const exit = status && code !== undefined && /^\d{1,3}$/.test(code) ? Number(code) : undefined
    if (output) {
      const log = logs.get(name) ?? new CarriedLog(`${file}.out`, join(dir, 'log', `${name}.0`))
      logs.set(name, log)
      await log.carry(exit !== undefined)
    }
    if (kind === 'init') failed ||= exit !== undefined && exit !== 0
    else ended &&= exit !== undefined
    const started = output?.made ?? status?.changed
    if (started === undefined) continue
    last = Math.max(last, status?.changed ?? 0)
    await writeState(join(dir, 'state', `c.${name}`), {
      state: exit === undefined ? 'running' : 'terminated',
      restarts: 0,
      started,
      ...(exit === undefined
        ? { ready: 1, up: 1 }
        : { exit, finished: status!.changed, reason: exit === 0 ? 'Completed' : 'Error' })
    })
  }
  if (ended || failed) await writeState(join(dir, 'state', 'pod'), { finished: last })
}

/** Only what has changed: each write is told to whoever watches. */
async function writeState(path: string, values: Readonly<Record<string, string | number>>): Promise<void> {
  const text = Object.entries(values)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
  if ((await readFile(path, 'utf8').catch(() => '')) !== text) await writeDurable(path, text)
}

/** Epoch ms; undefined where there is no such file. */
const timesOf = (path: string): Promise<{ readonly made: number; readonly changed: number } | undefined> =>
  stat(path).then(
    ({ birthtimeMs, mtimeMs }) => ({
      made: Math.round(birthtimeMs > 0 ? Math.min(birthtimeMs, mtimeMs) : mtimeMs),
      changed: Math.round(mtimeMs)
    }),
    () => undefined
  )
