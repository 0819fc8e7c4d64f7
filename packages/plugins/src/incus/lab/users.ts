/** Users of a lab: certificates that servers trust, each for projects. */
import { X509Certificate } from 'node:crypto'
import { PluginError } from '../../errors.ts'
import { fingerprintOf } from './client-configuration.ts'
import { requireProject } from './instances.ts'
import type { LabOptions } from './lab-options.ts'
import { createProject, deleteProject } from './projects.ts'
import type { Away, LabServer, Remotes } from './remotes.ts'
import { addPeerCommand, removePeerCommand, tellRouter } from './routers.ts'
import { checkName, printable } from './scope.ts'
import {
  bundle,
  makeUserFiles,
  removeUserFiles,
  userDirectory,
  vpnAddresses,
  vpnPublicKey
} from './user-files.ts'
import { userAddress } from './wireguard.ts'

interface CertificateRecord {
  readonly name: string
  readonly type: string
  readonly restricted: boolean
  readonly projects: readonly string[] | null
  readonly certificate: string
  readonly fingerprint: string
  readonly description?: string
}

export interface Person {
  readonly email?: string
  readonly fullName?: string
  readonly organisation?: string
}

export interface LabUser extends Person {
  readonly remote: string
  readonly name: string
  /** It may use everything. */
  readonly admin: boolean
  readonly projects: readonly string[]
  readonly fingerprint: string
  /** ISO 8601. */
  readonly expires: string
}

export async function listUsers(
  remotes: Remotes,
  remote?: string
): Promise<{ readonly users: readonly LabUser[]; readonly away: readonly Away[] }> {
  const { found, away } = await remotes.each(remote, async (server) =>
    (await certificatesOf(server)).map((record) => describeUser(server.remote, record))
  )
  const users = found.flat().sort((a, b) => (`${a.remote}:${a.name}` < `${b.remote}:${b.name}` ? -1 : 1))
  return { users, away }
}

const certificatesOf = async (server: LabServer): Promise<readonly CertificateRecord[]> =>
  (await server.get<readonly CertificateRecord[]>('/1.0/certificates', { recursion: 1 })).filter(
    ({ type }) => type === 'client'
  )

const describeUser = (remote: string, record: CertificateRecord): LabUser => ({
  remote,
  name: record.name,
  admin: !record.restricted,
  projects: record.projects ?? [],
  fingerprint: record.fingerprint,
  expires: expiryOf(record.certificate),
  ...readPerson(record.description ?? '')
})

const expiryOf = (pem: string): string => {
  try {
    return new Date(new X509Certificate(pem).validTo).toISOString()
  } catch {
    return ''
  }
}

/** `email,name,organisation`, as FIGO writes it. */
export function readPerson(description: string): Person {
  const [email = '', fullName = '', organisation = ''] = description.split(',')
  return {
    ...(email === '' ? {} : { email }),
    ...(fullName === '' ? {} : { fullName }),
    ...(organisation === '' ? {} : { organisation })
  }
}

/** @throws PluginError LAB_INVALID for a comma, which parts them */
export function writePerson({ email = '', fullName = '', organisation = '' }: Person): string {
  const parts = { '--email': email, '--name': fullName, '--org': organisation }
  for (const [field, value] of Object.entries(parts))
    if (/[,\p{Cc}]/u.test(value))
      throw new PluginError('LAB_INVALID', {
        field,
        reason: `"${printable(value)}" holds a comma or a control character`
      })
  const text = Object.values(parts).join(',')
  return text === ',,' ? '' : text
}

export interface UserWish extends Person {
  readonly name: string
  /** May use everything; has no project. */
  readonly admin?: boolean
  /** One that is there, instead of one of the user's own. */
  readonly project?: string
  /** PEM of a certificate that the user has already. */
  readonly certificate?: string
  readonly sshKey?: boolean
  readonly wireguard?: { readonly address?: string; readonly hole?: boolean; readonly tellHub?: boolean }
}

export interface AddedUser {
  readonly user: string
  readonly remotes: readonly string[]
  readonly project?: string
  readonly fingerprint: string
  readonly directory: string
  readonly files: readonly string[]
  /** All of them in one. */
  readonly bundle: string
  readonly vpnAddress?: string
}

/**
 * Makes a user's files, its project on each remote, and has the remotes trust its certificate. What fails half-way is
 * undone: no project, certificate or file is left.
 */
export async function addUser(
  remotes: Remotes,
  options: LabOptions,
  names: readonly string[],
  wish: UserWish
): Promise<AddedUser> {
  const user = checkName('user', wish.name)
  const description = writePerson(wish)
  const project = wish.admin ? undefined : (wish.project ?? `${options.userProjects}${user}`)
  const servers = await Promise.all(names.map((name) => remotes.connect(name, project ?? 'default')))
  for (const server of servers) {
    if ((await certificatesOf(server)).some(({ name }) => name === user))
      throw new PluginError('LAB_EXISTS', {
        kind: 'user',
        name: `${user} on remote ${server.remote}`,
        fix: `interlink lab user delete ${user} takes it away, user grant gives it a further project`
      })
    if (wish.project !== undefined) await requireProject(server, wish.project)
  }
  const vpn = wish.wireguard && (await vpnFor(options, wish.wireguard))
  const files = await makeUserFiles(options.dir, {
    user,
    ...(wish.certificate === undefined ? {} : { certificate: readCertificate(wish.certificate) }),
    sshKey: wish.sshKey ?? false,
    ...(vpn ? { vpn } : {})
  })
  const undo: (() => Promise<unknown>)[] = [() => files.discard()]
  try {
    for (const server of servers) {
      if (project !== undefined && wish.project === undefined && !(await isProject(server, project))) {
        await createProject(server, { description: `of user ${user}` })
        undo.push(() => deleteProject(server))
      }
      const json = {
        type: 'client',
        name: user,
        certificate: bare(files.certificate),
        restricted: project !== undefined,
        projects: project === undefined ? [] : [project],
        description
      }
      await server.change('POST', '/1.0/certificates', { json })
      undo.push(() => server.change('DELETE', `/1.0/certificates/${fingerprintOf(files.certificate)}`))
    }
    if (vpn && wish.wireguard?.tellHub) {
      await tellHub(options, user, files.publicKey!, vpn.address)
      undo.push(() => forgetPeer(options, files.publicKey!))
    }
    await files.keep()
  } catch (error) {
    for (const step of undo.reverse()) await step().catch(() => {})
    throw error
  }
  return {
    user,
    remotes: names,
    ...(project === undefined ? {} : { project }),
    fingerprint: fingerprintOf(files.certificate),
    directory: userDirectory(options.dir, user),
    files: files.names,
    bundle: await bundle(options.dir, user),
    ...(vpn ? { vpnAddress: vpn.address } : {})
  }
}

/** As Incus takes it: the base64 alone. */
const bare = (pem: string): string => pem.replace(/-----[A-Z ]+-----|\s/g, '')

const isProject = async (server: LabServer, project: string): Promise<boolean> =>
  (await server.find(`/1.0/projects/${encodeURIComponent(project)}`)) !== undefined

function readCertificate(text: string): string {
  try {
    return `${new X509Certificate(text).toString().trim()}\n`
  } catch {
    const reason = /PRIVATE KEY/.test(text) ? 'it holds a private key alone' : 'it is no certificate'
    throw new PluginError('LAB_INVALID', { field: '--cert', reason: `${reason}: expected PEM` })
  }
}

async function vpnFor(options: LabOptions, wish: NonNullable<UserWish['wireguard']>) {
  if (!options.vpn || (wish.tellHub && !options.vpn.hub))
    throw new PluginError('LAB_INVALID', {
      field: options.vpn ? 'vpn.hub' : 'vpn',
      reason: `it is not set in ${options.file}; it says where the VPN is, and by what key it is known`
    })
  return { options: options.vpn, address: userAddress(options.vpn, await vpnAddresses(options.dir), wish) }
}

async function tellHub(options: LabOptions, user: string, publicKey: string, address: string): Promise<void> {
  const { hub, interface: link } = options.vpn!
  await tellRouter(
    hub!,
    addPeerCommand(hub!.type, hub!.user, { publicKey, address, interface: link, comment: user })
  )
}

async function forgetPeer(options: LabOptions, publicKey: string): Promise<void> {
  const { hub, interface: link = '' } = options.vpn ?? {}
  if (hub) await tellRouter(hub, removePeerCommand(hub.type, hub.user, { publicKey, interface: link }))
}

/** @throws PluginError LAB_UNKNOWN with those that there are */
async function findUser(server: LabServer, name: string): Promise<CertificateRecord> {
  const all = await certificatesOf(server)
  const found = all.find((record) => record.name === name)
  if (found) return found
  throw new PluginError('LAB_UNKNOWN', {
    kind: `user on remote ${server.remote}`,
    name: printable(name),
    fix: all.length === 0 ? 'it has none' : `there are ${all.map((record) => record.name).join(', ')}`
  })
}

export interface Granted {
  readonly remote: string
  readonly user: string
  readonly projects: readonly string[]
}

/** Has a user use a further project, or no more; the certificate stays the same. @throws PluginError */
export async function grantProject(
  server: LabServer,
  name: string,
  project: string,
  { revoke = false } = {}
): Promise<Granted> {
  const record = await findUser(server, name)
  if (!record.restricted)
    throw new PluginError('LAB_STATE', {
      name: `user ${name} on remote ${server.remote}`,
      state: 'is an administrator, who may use every project',
      fix: 'delete the user and add it again without --admin to restrict it'
    })
  if (!revoke) await requireProject(server, project)
  const had = record.projects ?? []
  if (revoke && !had.includes(project))
    throw new PluginError('LAB_UNKNOWN', {
      kind: `project of user ${name}`,
      name: project,
      fix: `it has ${had.join(', ') || 'none'}`
    })
  const projects = revoke ? had.filter((one) => one !== project) : [...new Set([...had, project])]
  await changeUser(server, record, { projects })
  return { remote: server.remote, user: name, projects }
}

async function changeUser(
  server: LabServer,
  record: CertificateRecord,
  change: Partial<CertificateRecord>
): Promise<void> {
  const { name, type, restricted, projects, certificate, description } = { ...record, ...change }
  await server.change('PUT', `/1.0/certificates/${record.fingerprint}`, {
    json: { name, type, restricted, projects: projects ?? [], certificate, description }
  })
}

/** What is absent stays as it is. */
export async function editUser(server: LabServer, name: string, change: Person): Promise<Person> {
  const record = await findUser(server, name)
  const person = { ...readPerson(record.description ?? ''), ...change }
  await changeUser(server, record, { description: writePerson(person) })
  return person
}

export interface DeletedUser {
  readonly user: string
  /** Where its certificate is trusted no more. */
  readonly remotes: readonly string[]
  readonly away: readonly Away[]
  readonly filesRemoved: boolean
  readonly projectsRemoved: readonly string[]
}

/** Takes a user from every remote. One that is away still trusts it: the command fails, and is to be given again. */
export async function deleteUser(
  remotes: Remotes,
  options: LabOptions,
  given: string,
  { purge = false, keepFiles = false, vpn = true } = {}
): Promise<DeletedUser> {
  const name = checkName('user', given)
  const project = `${options.userProjects}${name}`
  const { found, away } = await remotes.each(undefined, async (first) => {
    const record = (await certificatesOf(first)).find((one) => one.name === name)
    if (record) await first.change('DELETE', `/1.0/certificates/${record.fingerprint}`)
    const server = await remotes.connect(first.remote, project)
    const isGone = purge && (await isProject(server, project))
    if (isGone) await deleteProject(server, { force: true })
    return { remote: first.remote, certificate: record !== undefined, project: isGone }
  })
  const publicKey = await vpnPublicKey(options.dir, name)
  if (vpn && publicKey !== undefined) await forgetPeer(options, publicKey)
  const filesRemoved = !keepFiles && away.length === 0 && (await removeUserFiles(options.dir, name))
  const trusted = found.filter(({ certificate }) => certificate)
  if (trusted.length === 0 && away.length === 0 && !filesRemoved)
    throw new PluginError('LAB_UNKNOWN', {
      kind: 'user',
      name,
      fix: 'interlink lab user list shows those of all remotes'
    })
  return {
    user: name,
    remotes: trusted.map(({ remote }) => remote),
    away,
    filesRemoved,
    projectsRemoved: found.filter((one) => one.project).map(({ remote }) => `${remote}:${project}`)
  }
}
