/** Containers that join a job that is with its backend already. See "Additions" of docs/reference/job-directory.md. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { EphemeralRequest } from '@interlink-ts/interlink-api/wire'
import { PluginError, refused } from '../../errors.ts'
import type { Backend } from '../backend.ts'
import { compileEphemeral } from '../plan/ephemeral.ts'
import type { Plan } from '../plan/plan.ts'
import type { SitePolicy } from '../plan/policy.ts'
import { writeContainer } from '../supervisor/write-job.ts'
import { readJson, writeDurable } from './durable-file.ts'
import { planFile, writePlan } from './job-directory.ts'
import { hasStopped, jobOf, submittedJob, type JobEntry } from './job-entry.ts'
import { backendFailed, cannotWrite } from './job-failures.ts'
import { outlineOf } from './pod-status.ts'
import { unique } from './prepare-job.ts'

/** Names of the containers that the supervisor is to start beside the others, one a line; it reads it again and again. */
const additionsFile = 'additions'

interface Parts {
  readonly backend: Backend
  readonly policy: SitePolicy
}

/**
 * Adds one container to a job, once: what is there already is only brought to its end. When this resolves the
 * container will be started, whatever happens to this process.
 */
export async function addEphemeral(
  entry: JobEntry,
  { pod, container: name }: EphemeralRequest,
  parts: Parts
): Promise<void> {
  const { backend } = parts
  if (!backend.add) throw new PluginError('PLUGIN_NOT_OFFERED', { what: 'ephemeral', backend: backend.name })
  if (entry.deletion) throw new PluginError('PLUGIN_DELETED', { uid: entry.uid })
  if (hasStopped(entry) || entry.jobId === undefined)
    throw new PluginError('PLUGIN_POD_NOT_RUNNING', { pod: entry.outline.name })
  const added = await readAdditions(entry.dir)
  if (added.includes(name)) return
  const known = (await readJson(planFile(entry.dir))) as Plan
  const isPlanned = known.containers.some((one) => one.name === name && one.kind === 'ephemeral')
  const plan = isPlanned ? known : await make(entry, pod, name, known, parts)
  const containers = plan.containers.filter((one) => one.name === name)
  await backend.add(submittedJob(entry), jobOf(entry, { ...plan, containers })).catch((error: unknown) => {
    throw backendFailed(backend.name, `take container ${name} of pod ${entry.uid}`, error)
  })
  await writeDurable(join(entry.dir, additionsFile), [...added, name, ''].join('\n')).catch(rethrow)
}

/** The files of the container, then its place in the plan: a plan that has it has its files. */
async function make(
  entry: JobEntry,
  pod: EphemeralRequest['pod'],
  name: string,
  plan: Plan,
  { backend, policy }: Parts
): Promise<Plan> {
  const { dir } = entry
  const compiled = compileEphemeral(pod, name, plan, policy)
  if ('refusals' in compiled) throw refused(compiled.refusals)
  const { container, path } = compiled
  await assertSupervisor(dir)
  const alone: Plan = { ...plan, containers: [container] }
  const rendered = await backend.render(alone, dir).catch((error: unknown) => {
    throw backendFailed(backend.name, `prepare container ${name} of pod ${entry.uid}`, error)
  })
  if ('refusals' in rendered)
    throw refused(
      rendered.refusals.map(({ field, message }) => ({
        field: field.replace('spec.ephemeralContainers[0]', path),
        message
      }))
    )
  const launch = rendered.launches[name]
  if (!launch) throw new PluginError('PLUGIN_NO_LAUNCH', { container: name })
  const notices = unique([
    ...plan.notices,
    ...compiled.notices,
    ...rendered.notices,
    ...(launch.notices ?? [])
  ])
  const whole: Plan = { ...plan, containers: [...plan.containers, container], notices }
  try {
    await rm(join(dir, 'c', name), { recursive: true, force: true })
    await writeContainer(alone, container, launch, dir, rendered.seenAs)
    await writePlan(dir, whole, { flushDirectory: true })
  } catch (error) {
    rethrow(error)
  }
  entry.outline = outlineOf(whole)
  return whole
}

/** A job of before this version runs to its end under the supervisor that it began with. */
async function assertSupervisor(dir: string): Promise<void> {
  const program = await readFile(join(dir, 'supervisor.sh'), 'utf8').catch(() => '')
  if (!program.includes(`"$DIR/${additionsFile}"`))
    throw refused([
      {
        field: 'spec.ephemeralContainers',
        message:
          'nothing can join a job that an older version, or another plugin, has started; restart the pod'
      }
    ])
}

async function readAdditions(dir: string): Promise<string[]> {
  const text = await readFile(join(dir, additionsFile), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  return text.split('\n').filter((name) => name !== '')
}

function rethrow(error: unknown): never {
  throw cannotWrite(error)
}
