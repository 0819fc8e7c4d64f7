/** Remotes, projects and operations. */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  createProject,
  deleteProject,
  deleteRemote,
  enrollRemote,
  listOperations,
  listProjects,
  listRemotes,
  parseProject,
  parseRemote,
  readToken,
  type LabOperation
} from '@interlink-ts/plugins/lab'
import { UsageError } from '../../errors.ts'
import { readSecret, type Lab, type LabFlags } from './session.ts'

export async function remoteList(
  lab: Lab,
  { full = false }: LabFlags & { readonly full?: boolean }
): Promise<void> {
  const remotes = await listRemotes(lab.remotes, { full })
  lab.printTable(remotes, {
    NAME: ({ name, isDefault }) => (isDefault ? `${name} (default)` : name),
    ADDRESS: ({ address }) => address,
    PROJECT: ({ project }) => project,
    ...(full
      ? {
          STATE: ({ state }: { readonly state?: string }) => state ?? '',
          VERSION: ({ version }: { readonly version?: string }) => version ?? '',
          FINGERPRINT: ({ fingerprint }: { readonly fingerprint?: string }) => fingerprint?.slice(0, 12) ?? ''
        }
      : {})
  })
}

interface EnrollFlags extends LabFlags {
  readonly tokenFile?: string
  readonly fingerprint?: string
  readonly defaultProject?: string
}

export async function remoteEnroll(
  lab: Lab,
  { tokenFile, fingerprint, defaultProject }: EnrollFlags,
  name: string,
  address: string | undefined,
  port: string | undefined
): Promise<void> {
  const text =
    fingerprint !== undefined && tokenFile === undefined ? undefined : await readSecret(tokenFile, 'token')
  if (port !== undefined && !/^\d{1,5}$/.test(port)) throw new UsageError(`"${port}" is no port`)
  const enrolled = await enrollRemote(lab.remotes, {
    name,
    ...(address === undefined ? {} : { address }),
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(text === undefined ? {} : { token: readToken(text) }),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(defaultProject === undefined ? {} : { project: defaultProject })
  })
  lab.print(enrolled, () => `remote ${enrolled.remote} is ${enrolled.address}, Incus ${enrolled.version}\n`)
}

export async function remoteDelete(
  lab: Lab,
  { revoke = false }: LabFlags & { readonly revoke?: boolean },
  name: string
): Promise<void> {
  const remote = parseRemote(name)
  await deleteRemote(lab.remotes, remote, { revoke })
  lab.print(
    { remote, revoked: revoke },
    () => `remote ${remote} forgotten${revoke ? ', and this client there' : ''}\n`
  )
}

const projectScope = (lab: Lab, text: string | undefined) =>
  lab.flagged(text === undefined ? {} : parseProject(text))

export async function projectList(lab: Lab, _: LabFlags, text: string | undefined): Promise<void> {
  const { projects, away } = await listProjects(lab.remotes, projectScope(lab, text))
  lab.printTable(projects, {
    REMOTE: ({ remote }) => remote,
    PROJECT: ({ name }) => name,
    PROFILES: ({ sharesProfiles }) => (sharesProfiles ? 'of default' : 'own'),
    RESTRICTED: ({ restricted }) => (restricted ? 'yes' : 'no'),
    INSTANCES: ({ instances }) => instances
  })
  lab.away(away)
}

async function oneProject(lab: Lab, text: string | undefined) {
  const { remote, project } = projectScope(lab, text)
  if (project === undefined)
    throw new UsageError('name a project, such as remote:project, or --project or --user')
  return lab.remotes.connect(remote, project)
}

interface CreateFlags extends LabFlags {
  readonly restricted?: boolean
  readonly limit?: readonly string[]
  readonly description?: string
}

export async function projectCreate(lab: Lab, flags: CreateFlags, text: string | undefined): Promise<void> {
  const { restricted = false, limit = [], description } = flags
  const server = await oneProject(lab, text)
  const limits = limit.map((one) => /^([a-z][a-z.-]*)=(.+)$/.exec(one) ?? one)
  const wrong = limits.find((one) => typeof one === 'string')
  if (wrong !== undefined)
    throw new UsageError(`--limit: "${String(wrong)}" is none: expected such as instances=4 or memory=64GiB`)
  await createProject(server, {
    restricted,
    ...(description === undefined ? {} : { description }),
    config: Object.fromEntries(
      (limits as RegExpExecArray[]).map(([, key, value]) => [`limits.${key!}`, value!])
    )
  })
  const made = { remote: server.remote, project: server.project }
  lab.print(made, () => `project ${made.remote}:${made.project} created\n`)
}

export async function projectDelete(
  lab: Lab,
  { force = false }: LabFlags & { readonly force?: boolean },
  text: string | undefined
): Promise<void> {
  const server = await oneProject(lab, text)
  await deleteProject(server, { force })
  const gone = { remote: server.remote, project: server.project }
  lab.print(gone, () => `project ${gone.remote}:${gone.project} deleted\n`)
}

const operationColumns = {
  REMOTE: (one: LabOperation) => one.remote,
  DESCRIPTION: (one: LabOperation) => one.description,
  TARGET: (one: LabOperation) => one.target,
  STATUS: (one: LabOperation) => one.status,
  PROGRESS: (one: LabOperation) => one.progress ?? '',
  ID: (one: LabOperation) => one.id.slice(0, 8)
}

/** What remotes do now; with `follow` again and again, until they do nothing. */
export async function operationStatus(
  lab: Lab,
  { follow = false }: LabFlags & { readonly follow?: boolean },
  scope: string | undefined
): Promise<void> {
  for (;;) {
    const { operations, away } = await listOperations(lab.remotes, projectScope(lab, scope))
    // An exec goes on as long as its person wishes.
    const busy = operations.filter(({ status }) => status === 'Running')
    if (!follow || busy.length > 0) lab.printTable(operations, operationColumns)
    lab.away(away)
    if (!follow || busy.length === 0) return
    await sleep(500)
  }
}
