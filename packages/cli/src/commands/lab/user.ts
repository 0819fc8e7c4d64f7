import {
  addUser,
  deleteUser,
  editUser,
  grantProject,
  listUsers,
  parseProject,
  parseRemote
} from '@interlink-ts/plugins/lab'
import { UsageError } from '../../errors.ts'
import { list, readOwn, type Lab, type LabFlags } from './session.ts'

export interface UserFlags extends LabFlags {
  /** Names of remotes, with commas. */
  readonly remotes?: string
}

/** Those that are named; else the default alone. */
function remotesOf(lab: Lab, { remotes }: UserFlags): readonly string[] {
  if (remotes === undefined) return [lab.remotes.configuration.defaultRemote]
  if (remotes === 'all') return lab.remotes.entries().map(({ name }) => name)
  const names = list(remotes).map(parseRemote)
  if (names.length === 0) throw new UsageError('--remotes: name at least one')
  return names
}

export async function userList(lab: Lab, { full = false, remotes }: UserFlags & { readonly full?: boolean }) {
  const { users, away } = await listUsers(
    lab.remotes,
    remotes === undefined ? undefined : parseRemote(remotes)
  )
  lab.printTable(users, {
    REMOTE: ({ remote }) => remote,
    USER: ({ name }) => name,
    PROJECTS: ({ admin, projects }) => (admin ? 'all' : projects.join(',')),
    EXPIRES: ({ expires }) => expires.slice(0, 10),
    ...(full
      ? {
          NAME: ({ fullName }: { readonly fullName?: string }) => fullName ?? '',
          EMAIL: ({ email }: { readonly email?: string }) => email ?? '',
          ORGANISATION: ({ organisation }: { readonly organisation?: string }) => organisation ?? '',
          FINGERPRINT: ({ fingerprint }: { readonly fingerprint: string }) => fingerprint.slice(0, 12)
        }
      : {})
  })
  lab.away(away)
}

export interface PersonFlags extends UserFlags {
  readonly email?: string
  readonly name?: string
  readonly org?: string
}

const personOf = ({ email, name, org }: PersonFlags) => ({
  ...(email === undefined ? {} : { email }),
  ...(name === undefined ? {} : { fullName: name }),
  ...(org === undefined ? {} : { organisation: org })
})

interface AddFlags extends PersonFlags {
  readonly cert?: string
  readonly admin?: boolean
  readonly wireguard?: boolean
  readonly ip?: string
  readonly hole?: boolean
  readonly setVpn?: boolean
  readonly keys?: boolean
}

export async function userAdd(lab: Lab, flags: AddFlags, user: string): Promise<void> {
  const { cert, admin = false, wireguard, ip, hole, setVpn, keys = false, project } = flags
  if (admin && project !== undefined)
    throw new UsageError('--admin may use every project: leave --project out')
  const added = await addUser(lab.remotes, lab.options, remotesOf(lab, flags), {
    ...personOf(flags),
    name: user,
    admin,
    sshKey: keys,
    ...(project === undefined ? {} : { project }),
    ...(cert === undefined ? {} : { certificate: await readOwn(cert) }),
    ...(wireguard || ip !== undefined || setVpn || hole
      ? {
          wireguard: {
            tellHub: setVpn ?? false,
            hole: hole ?? false,
            ...(ip === undefined ? {} : { address: ip })
          }
        }
      : {})
  })
  lab.print(added, () =>
    [
      `user ${user} may use ${added.project === undefined ? 'everything' : `project ${added.project}`} of ${added.remotes.join(', ')}`,
      ...(added.vpnAddress === undefined ? [] : [`address in the VPN: ${added.vpnAddress}`]),
      ...added.files.map((file) => `  ${added.directory}/${file}`),
      `to be handed over by a safe way: ${added.bundle}`,
      ''
    ].join('\n')
  )
}

const grant =
  (revoke: boolean) =>
  async (lab: Lab, flags: UserFlags, user: string, text: string): Promise<void> => {
    const { remote, project } = parseProject(text)
    if (project === undefined) throw new UsageError('name a project')
    const granted = await Promise.all(
      (remote === undefined ? remotesOf(lab, flags) : [remote]).map(async (name) =>
        grantProject(await lab.remotes.connect(name), user, project, { revoke })
      )
    )
    lab.print(granted, () =>
      granted
        .map((one) => `user ${user} may use ${one.projects.join(', ') || 'nothing'} of ${one.remote}\n`)
        .join('')
    )
  }

export const userGrant = grant(false)
export const userRevoke = grant(true)

export async function userEdit(lab: Lab, flags: PersonFlags, user: string): Promise<void> {
  const change = personOf(flags)
  if (Object.keys(change).length === 0) throw new UsageError('say what changes: --email, --name or --org')
  const people = await Promise.all(
    remotesOf(lab, flags).map(async (remote) => ({
      remote,
      user,
      ...(await editUser(await lab.remotes.connect(remote), user, change))
    }))
  )
  lab.print(people, () => people.map(({ remote }) => `user ${user} changed on ${remote}\n`).join(''))
}

interface DeleteFlags extends LabFlags {
  readonly purge?: boolean
  readonly keepfiles?: boolean
  readonly vpn?: boolean
}

export async function userDelete(lab: Lab, flags: DeleteFlags, user: string): Promise<void> {
  const gone = await deleteUser(lab.remotes, lab.options, user, {
    purge: flags.purge ?? false,
    keepFiles: flags.keepfiles ?? false,
    vpn: flags.vpn ?? true
  })
  lab.print(gone, () =>
    [
      ...gone.remotes.map((remote) => `${remote} trusts user ${user} no more`),
      ...gone.projectsRemoved.map((project) => `project ${project} deleted`),
      ...(gone.filesRemoved ? [`files of ${user} deleted`] : []),
      ''
    ].join('\n')
  )
  if (gone.away.length > 0)
    lab.note(
      `interlink: ${gone.away.map(({ remote }) => remote).join(', ')} may trust user ${user} still; give the command again when it is back`
    )
  lab.away(gone.away)
}
