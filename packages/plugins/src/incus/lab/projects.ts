import { PluginError } from '../../errors.ts'
import type { Away, LabServer, Remotes } from './remotes.ts'
import type { InstanceRecord } from './instance-record.ts'
import { deleteInstance, requireProject } from './instances.ts'
import type { Scope } from './scope.ts'

interface ProjectRecord {
  readonly name: string
  readonly description: string
  readonly config: Readonly<Record<string, string>>
  readonly used_by?: readonly string[] | null
}

export interface LabProject {
  readonly remote: string
  readonly name: string
  readonly description: string
  /** Its profiles are those of the project `default`. */
  readonly sharesProfiles: boolean
  readonly sharesImages: boolean
  readonly restricted: boolean
  readonly instances: number
}

const pathOf = (project: string): string => `/1.0/projects/${encodeURIComponent(project)}`

export async function listProjects(
  remotes: Remotes,
  { remote, project }: Scope
): Promise<{ readonly projects: readonly LabProject[]; readonly away: readonly Away[] }> {
  const { found, away } = await remotes.each(remote, async (server) => {
    if (remote !== undefined && project !== undefined) await requireProject(server, project)
    const records = await server.get<readonly ProjectRecord[]>('/1.0/projects', { recursion: 1 })
    return records.map((record) => describeProject(server.remote, record))
  })
  return {
    projects: found.flat().filter(({ name }) => project === undefined || name === project),
    away
  }
}

const describeProject = (
  remote: string,
  { name, description, config, used_by }: ProjectRecord
): LabProject => ({
  remote,
  name,
  description,
  sharesProfiles: name !== 'default' && config['features.profiles'] !== 'true',
  sharesImages: name !== 'default' && config['features.images'] !== 'true',
  restricted: config.restricted === 'true',
  instances: (used_by ?? []).filter((path) => path.startsWith('/1.0/instances/')).length
})

export interface ProjectWish {
  /** Incus keys such as `limits.instances`. */
  readonly config?: Readonly<Record<string, string>>
  /** With a copy of the default profile of its own, and what Incus then forbids to those who have this project alone. */
  readonly restricted?: boolean
  readonly description?: string
}

/**
 * Profiles and images are those of the project `default`, unless it is restricted.
 * @param server whose project is made
 */
export async function createProject(server: LabServer, wish: ProjectWish = {}): Promise<void> {
  const { project, remote } = server
  if (await server.find(pathOf(project)))
    throw new PluginError('LAB_EXISTS', {
      kind: 'project',
      name: `${remote}:${project}`,
      fix: 'choose another name, or use that one'
    })
  const restricted = wish.restricted ?? false
  const config = {
    'features.images': 'false',
    'features.profiles': String(restricted),
    ...(restricted ? { restricted: 'true', 'restricted.devices.gpu': 'allow' } : {}),
    ...wish.config
  }
  await server.change('POST', '/1.0/projects', {
    json: { name: project, description: wish.description ?? '', config }
  })
  if (!restricted) return
  try {
    const usual = await server.get<{ config: object; devices: object }>('/1.0/profiles/default', {
      project: 'default'
    })
    await server.change('PUT', '/1.0/profiles/default', {
      json: { config: usual.config, devices: usual.devices }
    })
  } catch (error) {
    await server.change('DELETE', pathOf(project)).catch(() => {})
    throw error
  }
}

/** @throws PluginError LAB_STATE where it holds something, unless `force` is given */
export async function deleteProject(server: LabServer, { force = false } = {}): Promise<void> {
  const { project, remote } = server
  await requireProject(server, project)
  const { used_by } = await server.get<ProjectRecord>(pathOf(project))
  const held = (used_by ?? []).filter((path) => !path.startsWith('/1.0/profiles/default'))
  if (held.length > 0 && !force)
    throw new PluginError('LAB_STATE', {
      name: `project ${remote}:${project}`,
      state: `holds ${held
        .slice(0, 5)
        .map((path) => path.replace(/^\/1\.0\//, '').replace(/\?.*$/, ''))
        .join(', ')}${held.length > 5 ? ' and more' : ''}`,
      fix: 'delete them first, or give --force to delete them with it'
    })
  // Told to delete what a project holds, Incus 6.0 empties the profile `default` of all that share it.
  for (const path of [...held].sort((a, b) => rank(a) - rank(b))) await deleteHeld(server, path)
  await server.change('DELETE', pathOf(project), { query: { project: 'default' } })
}

/** What has others comes before them. */
const rank = (path: string): number =>
  ['/1.0/instances/', '/1.0/images/', '/1.0/storage-pools/', '/1.0/profiles/'].findIndex((one) =>
    path.startsWith(one)
  ) >>> 0

async function deleteHeld(server: LabServer, path: string): Promise<void> {
  const { pathname } = new URL(path, 'http://incus')
  const [, instance] = /^\/1\.0\/instances\/([^/]+)$/.exec(pathname) ?? []
  if (instance === undefined) return void (await server.change('DELETE', pathname))
  const record = await server.find<InstanceRecord>(pathname)
  if (record) await deleteInstance({ server, record }, { force: true })
}
