/** The job directories of the parts of a pod, below the pod's, and what of them is to be seen in the pod's own. */
import { appendFile, link, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Launch } from '../kit/backend.ts'
import { makeJobDirectory, readRecords, writePlan } from '../kit/jobs/job-directory.ts'
import { readJobState, type JobState } from '../kit/jobs/job-state.ts'
import { replaceMirrored, writeAddress } from '../kit/jobs/mirrored-files.ts'
import { writeJobFiles } from '../kit/jobs/write-job-files.ts'
import type { Plan, PlannedContainer } from '../kit/plan/plan.ts'
import { jobPath } from './first-program.ts'
import { partDirectory } from './split-plan.ts'

export interface Part {
  readonly container: PlannedContainer
  readonly dir: string
  /** When it was handed to Incus, epoch ms. */
  readonly submittedAt?: number
  readonly state: JobState
}

export function readParts(plan: Plan, dir: string): Promise<Part[]> {
  return Promise.all(
    plan.containers.map(async (container) => {
      const part = partDirectory(dir, container.name)
      const [{ submission }, state] = await Promise.all([readRecords(part), readJobState(part)])
      return { container, dir: part, state, ...(submission ? { submittedAt: submission.at } : {}) }
    })
  )
}

/** Makes the directory of a part anew; its plan comes last. */
export async function writePart(plan: Plan, launch: Launch, dir: string): Promise<void> {
  const [container] = plan.containers
  await mkdir(join(dir, '..'), { recursive: true, mode: 0o700 })
  await makeJobDirectory(dir)
  await writeJobFiles({ plan, dir, launches: { [container!.name]: launch }, seenAs: jobPath })
  await writePlan(dir, plan, { flushDirectory: true })
}

/** Logs are there before what tells of them. */
export async function publishPart(dir: string, { container, dir: part, state }: Part): Promise<void> {
  const { name, kind } = container
  for (const folder of ['log', 'state']) await mkdir(join(dir, folder), { recursive: true, mode: 0o700 })
  const record = state.containers.get(name)
  // Of what it writes later, nobody is told.
  if (record?.state === 'running')
    await appendFile(join(part, 'log', `${name}.${record.restarts}`), '', { mode: 0o600 })
  for (const log of await readdir(join(part, 'log')).catch(() => []))
    await link(join(part, 'log', log), join(dir, 'log', log)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  for (const file of [`i.${name}`, `n.${name}`, `c.${name}`]) {
    const [said, known] = await Promise.all(
      [part, dir].map((each) => readFile(join(each, 'state', file), 'utf8').catch(() => undefined))
    )
    // To its own supervisor an init container is one that may be ready while it runs.
    const text = kind === 'init' ? said?.replace(/^ready=1$/m, 'ready=0') : said
    const path = join(dir, 'state', file)
    if (text === undefined) await rm(path, { force: true })
    else if (text !== known) await replaceMirrored(path, Buffer.from(text))
  }
}

/** A pod has one address from its start to its end: that of the first main container's instance. */
export async function publishAddress(dir: string, parts: readonly Part[]): Promise<void> {
  const podIP = parts.find(({ container }) => container.kind === 'main')?.state.podIP
  if (podIP !== undefined && podIP !== (await readJobState(dir)).podIP) await writeAddress(dir, podIP)
}

/** What is known of all supervisors as if they were one: `state/supervisor` of the pod. */
export async function publishBeat(dir: string, parts: readonly Part[]): Promise<void> {
  const found = parts.flatMap(({ state }) => (state.supervisor ? [state.supervisor] : []))
  if (found.length === 0) return
  const started = Math.min(...found.map(({ startedAt }) => startedAt))
  const beat = Math.max(...found.map(({ beatAt }) => beatAt))
  const text = `pid=1\nstarted=${started}\nbeat=${beat}\n`
  const path = join(dir, 'state/supervisor')
  if (text !== (await readFile(path, 'utf8').catch(() => ''))) await replaceMirrored(path, Buffer.from(text))
}

/** The last that is said of a pod or a part. */
export async function publishEnd(dir: string, { at, reason = '', message = '' }: End): Promise<void> {
  await mkdir(join(dir, 'state'), { recursive: true, mode: 0o700 })
  const line = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
  const text = `finished=${at}\nreason=${line(reason)}\nmessage=${line(message)}\n`
  await replaceMirrored(join(dir, 'state/pod'), Buffer.from(text))
}

type End = NonNullable<JobState['finished']>
