import { readdir } from 'node:fs/promises'
import { isTornWrite } from './durable-file.ts'
import { listJobDirectories, readRecords, removeJobDirectory, removeLeftovers } from './job-directory.ts'
import { newEntry, takeState, type JobEntry } from './job-entry.ts'
import { readJobState } from './job-state.ts'

export interface Recovered {
  readonly entries: readonly JobEntry[]
  readonly damaged: ReadonlyMap<string, string>
}

const atOnce = 32

/** The jobs of a root as a plugin that is gone has left them. What has no intent was never started and is removed. */
export async function recoverJobs(root: string, now: () => number): Promise<Recovered> {
  await removeLeftovers(root)
  const directories = await listJobDirectories(root)
  const entries: JobEntry[] = []
  const damaged = new Map<string, string>()
  const next = directories[Symbol.iterator]()
  const work = async () => {
    for (const dir of next) {
      try {
        const entry = await recoverJob(root, dir, now)
        if (entry) entries.push(entry)
      } catch (error) {
        damaged.set(dir, (error as Error).message)
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return { entries, damaged }
}

async function recoverJob(root: string, dir: string, now: () => number): Promise<JobEntry | undefined> {
  const { plan, intent, submission, deletion, end } = await readRecords(dir)
  if (!intent) {
    if (submission) throw new Error('intent.json is missing')
    // The plan is the first of its files: with none, there is nothing but what a write of it has left.
    if (!plan && !(await readdir(dir)).every(isTornWrite))
      throw new Error('plan.json and intent.json are missing')
    await removeJobDirectory(root, dir)
    return undefined
  }
  if (!plan) throw new Error('plan.json is missing')
  if (plan.pod.uid !== intent.uid) throw new Error('plan.json and intent.json are of two pods')
  const entry = newEntry(plan, dir, intent.at, intent.attempt)
  if (submission) {
    entry.jobId = submission.jobId
    if (deletion) entry.deletion = deletion
    if (end) entry.end = end
    takeState(entry, await readJobState(dir), now())
  }
  if (deletion) entry.deletion = deletion
  return entry
}
