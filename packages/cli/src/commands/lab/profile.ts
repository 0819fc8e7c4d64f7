import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import {
  checkName,
  copyProfile,
  deleteProfile,
  findProfile,
  initProfiles,
  listProfiles,
  parseRemote,
  parseScope,
  type Profile
} from '@interlink-ts/plugins/lab'
import { UsageError } from '../../errors.ts'
import { list, type Lab, type LabFlags } from './session.ts'

const kind = { kind: 'profile' } as const

export async function profileShow(lab: Lab, _: LabFlags, name: string): Promise<void> {
  const { profile } = await findProfile(lab.remotes, lab.scope(name, kind))
  lab.print(profile, () => stringify(profile))
}

/** Files that `incus profile edit` reads. */
export async function profileDump(
  lab: Lab,
  { all = false, dir = 'profiles' }: LabFlags & { readonly all?: boolean; readonly dir?: string },
  name: string | undefined
): Promise<void> {
  const scope = lab.scope(name, kind)
  if (!all && scope.name === undefined)
    throw new UsageError('name a profile, or give --all for those of a remote and project')
  const profiles: readonly Profile[] = all
    ? await allProfiles(lab, scope)
    : [(await findProfile(lab.remotes, scope)).profile]
  await mkdir(dir, { recursive: true })
  const files = await Promise.all(
    profiles.map(async ({ name, description, config, devices }) => {
      const file = join(dir, `${checkName('profile', name)}.yaml`)
      await writeFile(file, stringify({ name, description, config, devices }))
      return file
    })
  )
  lab.print({ files }, () => files.map((file) => `${file}\n`).join(''))
}

/** Names of several remotes are alike: one at a time. */
async function allProfiles(
  lab: Lab,
  { remote, project = 'default' }: { readonly remote?: string; readonly project?: string }
) {
  const { profiles } = await listProfiles(lab.remotes, {
    remote: remote ?? lab.remotes.configuration.defaultRemote,
    project
  })
  return profiles
}

interface ListFlags extends LabFlags {
  readonly inherited?: boolean
  readonly recurseInstances?: boolean
}

export async function profileList(
  lab: Lab,
  { inherited = false, recurseInstances = false }: ListFlags,
  scope: string | undefined
): Promise<void> {
  const { profiles, away } = await listProfiles(lab.remotes, lab.scope(scope, kind), { inherited })
  lab.printTable(profiles, {
    REMOTE: ({ remote }) => remote,
    PROJECT: ({ project, inherited }) => (inherited ? `${project} (of default)` : project),
    PROFILE: ({ name }) => name,
    DESCRIPTION: ({ description }) => description,
    ...(recurseInstances
      ? { INSTANCES: ({ usedBy }: { readonly usedBy: readonly string[] }) => usedBy.join(',') }
      : { USED: ({ usedBy }: { readonly usedBy: readonly string[] }) => usedBy.length })
  })
  lab.away(away)
}

export async function profileCopy(
  lab: Lab,
  _: LabFlags,
  from: string,
  to: string | undefined
): Promise<void> {
  const source = lab.scope(from, kind)
  const copied = await copyProfile(lab.remotes, source, to === undefined ? {} : parseScope(to, kind))
  lab.print(copied, () => `${copied.remote}:${copied.project}.${copied.name} made\n`)
}

interface InitFlags extends LabFlags {
  readonly profiles?: string
  readonly from?: string
  readonly list?: boolean
}

export async function profileInit(
  lab: Lab,
  { profiles, from }: InitFlags,
  remote: string | undefined
): Promise<void> {
  const scope = lab.flagged(remote === undefined ? {} : { remote: parseRemote(remote) })
  const server = await lab.remotes.connect(scope.remote, 'default')
  const done = await initProfiles(lab.remotes, server, {
    ...(profiles === undefined ? {} : { names: list(profiles) }),
    ...(from === undefined ? {} : { from: parseScope(from.includes(':') ? from : `${from}:`, kind) })
  })
  lab.print(done, () =>
    [
      ...done.made.map((name) => `${done.remote}:default.${name} made`),
      ...done.kept.map((name) => `${done.remote}:default.${name} is there already`),
      ''
    ].join('\n')
  )
}

export async function profileDelete(lab: Lab, _: LabFlags, name: string): Promise<void> {
  const gone = await deleteProfile(lab.remotes, lab.scope(name, kind))
  lab.print(gone, () => `${gone.remote}:${gone.project}.${gone.name} deleted\n`)
}
