import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Launch } from '../backend.ts'
import type { Plan, PlannedContainer } from '../plan/plan.ts'
import { containerFiles, renderJob, type JobFile, type RenderOptions } from './render-job.ts'

/** The parts of the supervisor in the order of its file: what each is built upon comes before it, the start last. */
export const supervisorParts = [
  'base',
  'become',
  'logs',
  'talk',
  'actions',
  'state',
  'probes',
  'stop',
  'container',
  'memory',
  'usage',
  'order',
  'call',
  'again',
  'main'
].map((name) => new URL(`../../../assets/supervisor/${name}.sh`, import.meta.url))

let program: Promise<string> | undefined

/** The text of the supervisor: one file from its parts, read once. */
export function supervisorProgram(): Promise<string> {
  program ??= Promise.all(supervisorParts.map((part) => readFile(part, 'utf8'))).then((texts) =>
    texts.join('\n')
  )
  return program
}

let session: Promise<string> | undefined

/** The text of what gives a command its stdin or a terminal; see assets/streams/session.pl. */
export const sessionProgram = (): Promise<string> =>
  (session ??= readFile(new URL('../../../assets/streams/session.pl', import.meta.url), 'utf8'))

export interface WriteOptions extends RenderOptions {
  /** Where the machine that runs the job sees `dir`. @default dir */
  readonly seenAs?: string
}

/**
 * Writes into the job directory `dir` all that `sh job.sh` needs, but for the volumes.
 * Safe to repeat until the job is submitted: equal input gives equal files.
 */
export async function writeJob(
  plan: Plan,
  launches: Readonly<Record<string, Launch>>,
  dir: string,
  options: WriteOptions = {}
): Promise<void> {
  const { files } = renderJob(plan, launches, options.seenAs ?? dir, options)
  for (const name of ['state', 'log', 'message'])
    await mkdir(join(dir, name), { recursive: true, mode: 0o700 })
  await writeFiles(dir, [
    ...files,
    { path: 'supervisor.sh', mode: 0o700, text: await supervisorProgram() },
    ...(await programsFor(plan.containers))
  ])
}

/** Writes what a container needs that is added to the job of `dir`. */
export async function writeContainer(
  plan: Plan,
  container: PlannedContainer,
  launch: Launch,
  dir: string,
  seenAs: string = dir
): Promise<void> {
  const [program] = await programsFor([container])
  // Another container may just be about to read it.
  const isThere = program && existsSync(join(dir, program.path))
  await writeFiles(dir, [
    ...containerFiles(plan, container, launch, seenAs),
    ...(program && !isThere ? [program] : [])
  ])
}

const programsFor = async (containers: readonly PlannedContainer[]): Promise<JobFile[]> =>
  containers.some(({ stdin, tty }) => stdin || tty)
    ? [{ path: 'session.pl', mode: 0o600, text: await sessionProgram() }]
    : []

async function writeFiles(dir: string, files: readonly JobFile[]): Promise<void> {
  for (const folder of new Set(files.map(({ path }) => dirname(join(dir, path)))))
    await mkdir(folder, { recursive: true, mode: 0o700 })
  await Promise.all(files.map(({ path, mode, text }) => writeFile(join(dir, path), text, { mode })))
}
