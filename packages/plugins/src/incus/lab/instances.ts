import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { PluginError } from '../../errors.ts'
import { IncusUnreachable } from '../rest/index.ts'
import { describeInstance, fullName, InstanceRecord, isRunning, type LabInstance } from './instance-record.ts'
import type { LabServer, Away, Query, Remotes } from './remotes.ts'
import { matches, type Scope } from './scope.ts'

const Records = Type.Array(InstanceRecord)

/** One instance that is there. */
export interface Found {
  readonly server: LabServer
  readonly record: InstanceRecord
}

const pathOf = (name: string): string => `/1.0/instances/${encodeURIComponent(name)}`

/** Instances of a server: of one project, or of all that this client may see. */
export async function recordsOf(
  server: LabServer,
  { project, state = false }: { readonly project?: string | undefined; readonly state?: boolean } = {}
): Promise<readonly InstanceRecord[]> {
  const of: Query = project === undefined ? { 'all-projects': true } : { project }
  const records = await server.get<unknown>('/1.0/instances', { recursion: state ? 2 : 1, ...of })
  if (Value.Check(Records, records)) return records
  throw new IncusUnreachable(`${server.remote} lists instances in a way that is not known`)
}

/**
 * What a scope means, over all remotes and projects where it names none.
 * @param full with the addresses that instances have, for which each that runs is asked
 */
export async function listInstances(
  remotes: Remotes,
  { remote, project, name }: Scope,
  { full = false } = {}
): Promise<{ readonly instances: readonly LabInstance[]; readonly away: readonly Away[] }> {
  const { found, away } = await remotes.each(remote, async (server) => {
    if (project !== undefined && !(await hasProject(server, project))) {
      if (remote !== undefined) await requireProject(server, project)
      return []
    }
    const records = await recordsOf(server, { project, state: full })
    return records.map((record) => describeInstance(server.remote, record))
  })
  const instances = found
    .flat()
    .filter((one) => matches(name, one.name))
    .sort((a, b) => (fullName(a) < fullName(b) ? -1 : 1))
  return { instances, away }
}

const hasProject = async (server: LabServer, project: string): Promise<boolean> =>
  (await server.find(`/1.0/projects/${encodeURIComponent(project)}`)) !== undefined

/** @throws PluginError LAB_UNKNOWN with those that there are */
export async function requireProject(server: LabServer, project: string): Promise<void> {
  if (await hasProject(server, project)) return
  const names = (await server.get<string[]>('/1.0/projects')).map((path) =>
    decodeURIComponent(path.split('/').at(-1)!)
  )
  throw new PluginError('LAB_UNKNOWN', {
    kind: `project on remote ${server.remote}`,
    name: project,
    fix: `there are ${names.join(', ')}; interlink lab project create ${server.remote}:${project} makes it`
  })
}

/** @throws PluginError LAB_UNKNOWN with what is near */
export async function findInstance(remotes: Remotes, { remote, project, name }: Scope): Promise<Found> {
  if (name === undefined)
    throw new PluginError('LAB_INVALID', {
      field: 'scope',
      reason: 'it names no instance: expected [remote:][project.]instance'
    })
  const server = await remotes.connect(remote, project)
  const record = await server.find<InstanceRecord>(pathOf(name))
  if (record) return { server, record }
  await requireProject(server, server.project)
  const elsewhere = await recordsOf(server)
  const same = elsewhere.filter((one) => one.name === name)
  const near = same.length > 0 ? same : elsewhere.filter((one) => one.project === server.project)
  const names = near
    .slice(0, 10)
    .map((one) => fullName({ remote: server.remote, project: one.project, name: one.name }))
  throw new PluginError('LAB_UNKNOWN', {
    kind: 'instance',
    name: fullName({ remote: server.remote, project: server.project, name }),
    fix:
      names.length === 0
        ? 'the project has none; interlink lab instance list shows those of all remotes'
        : `${same.length > 0 ? 'did you mean' : 'there are'} ${names.join(', ')}`
  })
}

export const instancePath = ({ record }: Found): string => pathOf(record.name)

export const nameOfFound = ({ server, record }: Found): string =>
  fullName({ remote: server.remote, project: server.project, name: record.name })

/** What a verb has done; `changed` is false where it was so already. */
export interface Outcome {
  readonly instance: string
  readonly changed: boolean
  readonly status: string
}

export interface StopOptions {
  readonly force?: boolean
  /** For the instance to end by itself. @default 60 */
  readonly timeoutSeconds?: number
}

/** @throws PluginError LAB_STATE where it has not ended in time: it runs on */
export async function stopInstance(
  found: Found,
  { force = false, timeoutSeconds = 60 }: StopOptions = {}
): Promise<Outcome> {
  const instance = nameOfFound(found)
  if (!isRunning(found.record)) return { instance, changed: false, status: 'Stopped' }
  const json = force ? { action: 'stop', force: true } : { action: 'stop', timeout: timeoutSeconds }
  try {
    await found.server.change('PUT', `${instancePath(found)}/state`, { json })
  } catch (error) {
    // Timing out has several wordings; whether it runs is what counts.
    const now = await found.server.find<InstanceRecord>(instancePath(found)).catch(() => undefined)
    if (now && !isRunning(now)) return { instance, changed: true, status: 'Stopped' }
    if (force || (error as PluginError).code !== 'LAB_REFUSED') throw error
    throw new PluginError(
      'LAB_STATE',
      {
        name: instance,
        state: `has not stopped within ${timeoutSeconds} s and runs on`,
        fix: 'give --timeout to wait longer, or --force to end it at once'
      },
      error
    )
  }
  return { instance, changed: true, status: 'Stopped' }
}

/** @throws PluginError LAB_STATE where it runs and `force` is not given */
export async function deleteInstance(found: Found, { force = false } = {}): Promise<Outcome> {
  const instance = nameOfFound(found)
  if (isRunning(found.record)) {
    if (!force)
      throw new PluginError('LAB_STATE', {
        name: instance,
        state: 'is running',
        fix: 'stop it first, or give --force'
      })
    await stopInstance(found, { force: true })
  }
  await found.server.change('DELETE', instancePath(found))
  return { instance, changed: true, status: 'Deleted' }
}
