import { PluginError } from '../../errors.ts'
import type { Devices } from './instance-record.ts'
import { requireProject } from './instances.ts'
import type { Away, LabServer, Remotes } from './remotes.ts'
import { checkName, type Scope } from './scope.ts'

export interface Profile {
  readonly name: string
  readonly description: string
  readonly config: Readonly<Record<string, string>>
  readonly devices: Devices
}

interface ProfileRecord extends Profile {
  readonly project?: string
  readonly used_by?: readonly string[] | null
}

export interface LabProfile extends Profile {
  readonly remote: string
  readonly project: string
  /** `project.instance` of those that have it. */
  readonly usedBy: readonly string[]
  /** The project has no profiles of its own: these are those of `default`. */
  readonly inherited: boolean
}

const pathOf = (name: string): string => `/1.0/profiles/${encodeURIComponent(name)}`

export const profileNames = async (server: LabServer): Promise<readonly string[]> =>
  (await server.get<readonly string[]>('/1.0/profiles'))
    .map((path) => decodeURIComponent(path.split('/').at(-1)!.replace(/\?.*$/, '')))
    .sort()

/** Profiles that instances of the server's project can have. */
export const profilesOf = (server: LabServer): Promise<readonly ProfileRecord[]> =>
  server.get<readonly ProfileRecord[]>('/1.0/profiles', { recursion: 1 })

/** @param inherited with those that projects share with `default`, once for each */
export async function listProfiles(
  remotes: Remotes,
  { remote, project, name }: Scope,
  { inherited = false } = {}
): Promise<{ readonly profiles: readonly LabProfile[]; readonly away: readonly Away[] }> {
  const { found, away } = await remotes.each(remote, async (first) => {
    const projects = await projectsWithFeatures(first)
    if (project !== undefined && remote !== undefined) await requireProject(first, project)
    const wished = projects.filter((one) => project === undefined || one.name === project)
    const all = await Promise.all(
      wished
        .filter((one) => one.own || inherited || project !== undefined)
        .map(async (one) =>
          (await profilesOf(await remotes.connect(first.remote, one.name))).map((record) =>
            describeProfile(first.remote, one, record)
          )
        )
    )
    return all.flat()
  })
  return { profiles: found.flat().filter((one) => name === undefined || one.name === name), away }
}

interface ProjectOfProfiles {
  readonly name: string
  /** Its profiles are its own. */
  readonly own: boolean
}

async function projectsWithFeatures(server: LabServer): Promise<readonly ProjectOfProfiles[]> {
  const projects = await server.get<readonly { name: string; config: Record<string, string> }[]>(
    '/1.0/projects',
    { recursion: 1 }
  )
  return projects.map(({ name, config }) => ({
    name,
    own: name === 'default' || config['features.profiles'] === 'true'
  }))
}

const describeProfile = (
  remote: string,
  { name: project, own }: ProjectOfProfiles,
  { name, description, config, devices, used_by }: ProfileRecord
): LabProfile => ({
  remote,
  project,
  name,
  description,
  config,
  devices,
  inherited: !own,
  usedBy: (used_by ?? []).flatMap((path) => {
    const { pathname, searchParams } = new URL(path, 'http://incus')
    const instance = /^\/1\.0\/instances\/([^/]+)$/.exec(pathname)?.[1]
    return instance === undefined
      ? []
      : [`${searchParams.get('project') ?? 'default'}.${decodeURIComponent(instance)}`]
  })
})

/** @throws PluginError LAB_UNKNOWN with those that there are */
export async function findProfile(
  remotes: Remotes,
  { remote, project, name }: Scope
): Promise<{ readonly server: LabServer; readonly profile: Profile }> {
  if (name === undefined)
    throw new PluginError('LAB_INVALID', {
      field: 'scope',
      reason: 'it names no profile: expected [remote:][project.]profile'
    })
  const server = await remotes.connect(remote, project)
  const found = await server.find<ProfileRecord>(pathOf(checkName('profile', name)))
  if (found) return { server, profile: contentOf(found) }
  await requireProject(server, server.project)
  throw new PluginError('LAB_UNKNOWN', {
    kind: `profile in ${server.remote}:${server.project}`,
    name,
    fix: `there are ${(await profileNames(server)).join(', ')}`
  })
}

const contentOf = ({ name, description, config, devices }: ProfileRecord): Profile => ({
  name,
  description,
  config,
  devices
})

/**
 * Copies a profile to another remote, project or name. What its devices name, such as pools and networks, is not
 * copied: Incus says so where the target lacks them.
 * @throws PluginError LAB_EXISTS, or LAB_STATE where the target shares the profiles of `default`
 */
export async function copyProfile(remotes: Remotes, from: Scope, to: Scope): Promise<LabProfileName> {
  const { profile } = await findProfile(remotes, from)
  const target = await remotes.connect(to.remote ?? from.remote, to.project)
  const name = checkName('profile', to.name ?? profile.name)
  await requireOwnProfiles(target)
  await createProfile(target, { ...profile, name })
  return { remote: target.remote, project: target.project, name }
}

export interface LabProfileName {
  readonly remote: string
  readonly project: string
  readonly name: string
}

/** @throws PluginError LAB_EXISTS */
export async function createProfile(server: LabServer, profile: Profile): Promise<void> {
  if (await server.find(pathOf(profile.name)))
    throw new PluginError('LAB_EXISTS', {
      kind: 'profile',
      name: `${server.remote}:${server.project}.${profile.name}`,
      fix: 'name the copy otherwise, or delete that one first'
    })
  await server.change('POST', '/1.0/profiles', { json: profile })
}

async function requireOwnProfiles(server: LabServer): Promise<void> {
  await requireProject(server, server.project)
  const { config } = await server.get<{ config: Record<string, string> }>(
    `/1.0/projects/${encodeURIComponent(server.project)}`
  )
  if (server.project === 'default' || config['features.profiles'] === 'true') return
  throw new PluginError('LAB_STATE', {
    name: `project ${server.remote}:${server.project}`,
    state: 'shares the profiles of the project default',
    fix: `copy it to ${server.remote}:default. instead, where this project sees it too`
  })
}

/** @throws PluginError LAB_STATE where instances have it */
export async function deleteProfile(remotes: Remotes, scope: Scope): Promise<LabProfileName> {
  const { server, profile } = await findProfile(remotes, scope)
  await requireOwnProfiles(server)
  const { used_by: usedBy } = await server.get<ProfileRecord>(pathOf(profile.name))
  const users = (usedBy ?? []).map((path) =>
    path.replace(/^\/1\.0\/instances\//, '').replace(/\?project=/, ' of ')
  )
  if (users.length > 0)
    throw new PluginError('LAB_STATE', {
      name: `profile ${server.remote}:${server.project}.${profile.name}`,
      state: `is had by ${users.slice(0, 5).join(', ')}${users.length > 5 ? ' and more' : ''}`,
      fix: 'delete those, or take it from them, first'
    })
  await server.change('DELETE', pathOf(profile.name))
  return { remote: server.remote, project: server.project, name: profile.name }
}
