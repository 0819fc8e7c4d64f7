/** The plugin's own files of a job directory. See docs/reference/job-directory.md. */
import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Type, type Static, type TSchema } from 'typebox'
import { Value } from 'typebox/value'
import type { Plan } from '../plan/plan.ts'
import { flushDirectory, readJson, writeDurable } from './durable-file.ts'

const Intent = Type.Object({ uid: Type.String(), attempt: Type.Integer(), at: Type.Number() })
const Submission = Type.Object({ uid: Type.String(), jobId: Type.String(), at: Type.Number() })
const Deletion = Type.Object({ at: Type.Number(), graceSeconds: Type.Number() })
const End = Type.Object({
  phase: Type.Literal('gone'),
  reason: Type.String(),
  message: Type.Optional(Type.String()),
  endedAt: Type.Optional(Type.Number()),
  early: Type.Optional(Type.Literal(true))
})
/** Epochs in milliseconds. */
export type Intent = Static<typeof Intent>
export type Submission = Static<typeof Submission>
export type Deletion = Static<typeof Deletion>
/** Why the backend says that the job has ended, or, with `early`, is being ended before its time. */
export type End = Static<typeof End>

/** What a job directory says of its job; without an intent nothing was ever handed to the backend. */
export interface JobRecords {
  readonly plan?: Plan
  readonly intent?: Intent
  readonly submission?: Submission
  readonly deletion?: Deletion
  readonly end?: End
}

export const jobDirectory = (root: string, namespace: string, uid: string): string =>
  join(root, `${namespace}-${uid}`)

const endFile = 'end.json'

export const planFile = (dir: string): string => join(dir, 'plan.json')

/** Makes the directory, empty; what an interrupted create left there before its intent is removed. */
export async function makeJobDirectory(dir: string): Promise<void> {
  await rm(dir, { recursive: true, force: true })
  await mkdir(dir, { mode: 0o700 })
}

/** With the default the name is made durable by what is written next. */
export const writePlan = (dir: string, plan: Plan, { flushDirectory = false } = {}): Promise<void> =>
  writeDurable(planFile(dir), JSON.stringify(plan), { flushDirectory })

/** Once this resolves, the job is one that will be found again after any crash. */
export async function writeIntent(dir: string, intent: Intent): Promise<void> {
  await writeDurable(join(dir, 'intent.json'), JSON.stringify(intent), { flushDirectory: false })
  await Promise.all([flushDirectory(dir), flushDirectory(join(dir, '..'))])
}

export const writeSubmission = (dir: string, submission: Submission): Promise<void> =>
  writeDurable(join(dir, 'job.json'), JSON.stringify(submission))

export const writeDeletion = (dir: string, deletion: Deletion): Promise<void> =>
  writeDurable(join(dir, 'deleted.json'), JSON.stringify(deletion))

export const writeEnd = (dir: string, end: End): Promise<void> =>
  writeDurable(join(dir, endFile), JSON.stringify(end))

/** It goes on after all. */
export const removeEnd = (dir: string): Promise<void> => rm(join(dir, endFile), { force: true })

/** @throws where a record is damaged; the message names the file. */
export async function readRecords(dir: string): Promise<JobRecords> {
  const [plan, intent, submission, deletion, end] = await Promise.all([
    record(dir, 'plan.json', Type.Object({ version: Type.Literal(1) })),
    record(dir, 'intent.json', Intent),
    record(dir, 'job.json', Submission),
    record(dir, 'deleted.json', Deletion),
    record(dir, endFile, End)
  ])
  return {
    ...(plan ? { plan: plan as unknown as Plan } : {}),
    ...(intent ? { intent } : {}),
    ...(submission ? { submission } : {}),
    ...(deletion ? { deletion } : {}),
    ...(end ? { end } : {})
  }
}

async function record<T extends TSchema>(
  dir: string,
  name: string,
  schema: T
): Promise<Static<T> | undefined> {
  let value: unknown
  try {
    value = await readJson(join(dir, name))
  } catch (error) {
    throw new Error(`${name} cannot be read: ${(error as Error).message}`, { cause: error })
  }
  if (value === undefined) return undefined
  if (!Value.Check(schema, value)) throw new Error(`${name} is damaged`)
  return value
}

/** The job directories of a root; files and what begins with a dot are none. */
export async function listJobDirectories(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => join(root, entry.name))
}

/** Removes a job directory; one that is half removed when the plugin dies is not taken for a job. */
export async function removeJobDirectory(root: string, dir: string): Promise<void> {
  const condemned = join(root, `.removed-${dir.slice(root.length + 1)}`)
  await rename(dir, condemned).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  await removeTree(condemned)
}

/** Jobs leave directories behind that even their owner may not write to. */
async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    await openDirectories(path)
    await rm(path, { recursive: true, force: true })
  }
}

async function openDirectories(path: string): Promise<void> {
  await chmod(path, 0o700)
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (entry.isDirectory()) await openDirectories(join(path, entry.name))
}

/** Removes what {@link removeJobDirectory} could not finish. */
export async function removeLeftovers(root: string): Promise<void> {
  for (const name of await readdir(root)) if (name.startsWith('.removed-')) await removeTree(join(root, name))
}
