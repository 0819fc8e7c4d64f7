import { setTimeout as sleep } from 'node:timers/promises'
import {
  addAuthorizedKeys,
  authorizedKeys,
  createInstance,
  deleteInstance,
  findInstance,
  fullName,
  listInstances,
  nameOfFound,
  readPublicKey,
  setAddress,
  startInstance,
  stopInstance,
  type LabInstance
} from '@interlink-ts/plugins/lab'
import { UsageError } from '../../errors.ts'
import { list, readOwn, type Lab, type LabFlags } from './session.ts'

const columns = {
  REMOTE: (one: LabInstance) => one.remote,
  PROJECT: (one: LabInstance) => one.project,
  NAME: (one: LabInstance) => one.name,
  TYPE: (one: LabInstance) => (one.type === 'container' ? 'container' : 'vm'),
  STATUS: (one: LabInstance) => one.status
}
const fullColumns = {
  ...columns,
  ADDRESS: (one: LabInstance) => one.addresses[0] ?? '',
  GPUS: (one: LabInstance) => one.gpus.join(','),
  PROFILES: (one: LabInstance) => one.profiles.join(','),
  IMAGE: (one: LabInstance) => one.image
}

export async function instanceList(
  lab: Lab,
  { full = false }: LabFlags & { readonly full?: boolean },
  scope: string | undefined
): Promise<void> {
  const { instances, away } = await listInstances(lab.remotes, lab.scope(scope, { wild: true }), { full })
  lab.printTable(instances, full ? fullColumns : columns)
  lab.away(away)
}

interface AddressFlags {
  readonly ip?: string
  readonly gw?: string
  readonly nic?: string
  readonly hole?: boolean
}

const addressWish = ({ ip, gw, nic, hole }: AddressFlags) => ({
  ...(ip === undefined ? {} : { cidr: ip }),
  ...(gw === undefined ? {} : { gateway: gw }),
  ...(nic === undefined ? {} : { nic }),
  ...(hole === undefined ? {} : { hole })
})

export interface CreateFlags extends LabFlags, AddressFlags {
  readonly type: 'vm' | 'container' | 'cnt'
  readonly profile?: string
  readonly makeProject?: boolean
  readonly staticIp?: boolean
  readonly key?: string
  readonly login?: string
  readonly start?: boolean
}

export async function instanceCreate(
  lab: Lab,
  flags: CreateFlags,
  name: string,
  image: string
): Promise<void> {
  const { type, profile, makeProject, key, login, start, staticIp } = flags
  const wantsAddress = staticIp || flags.ip !== undefined || flags.gw !== undefined || flags.hole
  const created = await createInstance(lab.remotes, lab.options, lab.scope(name), image, {
    type: type === 'vm' ? 'virtual-machine' : 'container',
    ...(profile === undefined ? {} : { profiles: list(profile) }),
    makeProject: makeProject ?? false,
    ...(wantsAddress ? { address: addressWish(flags) } : {}),
    ...(key === undefined ? {} : { keys: await readOwn(key) }),
    ...(login === undefined ? {} : { login })
  })
  const started = start ? await startInstance(await lab.instance(created.instance)) : undefined
  lab.print({ ...created, ...(started ?? {}) }, () =>
    [
      ...(created.projectMade ? [`project of ${created.instance} made`] : []),
      `${created.instance} created with profiles ${created.profiles.join(', ')}${created.address ? ` and address ${created.address}` : ''}`,
      ...(started ? [`${created.instance} started`] : []),
      ''
    ].join('\n')
  )
}

export async function instanceStart(lab: Lab, _: LabFlags, name: string): Promise<void> {
  const started = await startInstance(await lab.instance(name))
  const { instance, changed, exchanged, cards } = started
  lab.print(started, () =>
    [
      ...exchanged.map(({ from, to }) => `${instance}: ${from} is in use; ${to} instead`),
      changed
        ? `${instance} started${cards.length > 0 ? ` with ${cards.join(', ')}` : ''}`
        : `${instance} is running already`,
      ''
    ].join('\n')
  )
}

interface StopFlags extends LabFlags {
  readonly all?: boolean
  readonly force?: boolean
  readonly timeout?: number
  readonly yes?: boolean
}

export async function instanceStop(lab: Lab, flags: StopFlags, scope: string | undefined): Promise<void> {
  const { all = false, force = false, timeout, yes = false } = flags
  const how = { force, ...(timeout === undefined ? {} : { timeoutSeconds: timeout }) }
  const meant = lab.scope(scope, { wild: all })
  if (!all && meant.name === undefined)
    throw new UsageError('name an instance, or give --all with a scope such as remote:project.')
  if (!all) {
    const outcome = await stopInstance(await lab.instance(scope!), how)
    return lab.print(outcome, () => stopped(outcome))
  }
  if (meant.remote === undefined && meant.project === undefined && !yes)
    throw new UsageError(
      '--all without a scope means every instance of every remote; name a scope, or give --yes too'
    )
  const { instances, away } = await listInstances(lab.remotes, meant)
  const running = instances.filter(({ status }) => status !== 'Stopped')
  const outcomes = await Promise.allSettled(
    running.map(async (one) => stopInstance(await findInstance(lab.remotes, one), how))
  )
  lab.print(
    outcomes.map((outcome, index) =>
      outcome.status === 'fulfilled'
        ? outcome.value
        : { instance: fullName(running[index]!), changed: false, error: (outcome.reason as Error).message }
    ),
    () =>
      outcomes.map((outcome) => (outcome.status === 'fulfilled' ? stopped(outcome.value) : '')).join('') ||
      'nothing runs there\n'
  )
  for (const outcome of outcomes)
    if (outcome.status === 'rejected') {
      lab.note(`interlink: ${(outcome.reason as Error).message}`)
      process.exitCode = 1
    }
  lab.away(away)
}

const stopped = ({ instance, changed }: { readonly instance: string; readonly changed: boolean }): string =>
  `${instance} ${changed ? 'stopped' : 'is stopped already'}\n`

export async function instanceDelete(
  lab: Lab,
  { force = false }: LabFlags & { readonly force?: boolean },
  name: string
): Promise<void> {
  const outcome = await deleteInstance(await lab.instance(name), { force })
  lab.print(outcome, () => `${outcome.instance} deleted\n`)
}

/** The addresses that an instance has; one that has just started is waited for a little. */
export async function instanceIp(
  lab: Lab,
  { waitFor = 0 }: LabFlags & { readonly waitFor?: number },
  name: string
): Promise<void> {
  const { server, record } = await lab.instance(name)
  const deadline = Date.now() + waitFor * 1000
  for (;;) {
    const { instances } = await listInstances(
      lab.remotes,
      { remote: server.remote, project: server.project, name: record.name },
      { full: true }
    )
    const { addresses = [], status = '' } = instances[0] ?? {}
    if (addresses.length === 0 && Date.now() < deadline) {
      await sleep(500)
      continue
    }
    const instance = nameOfFound({ server, record })
    lab.print({ instance, status, addresses }, () => addresses.map((address) => `${address}\n`).join(''))
    if (addresses.length === 0)
      throw new UsageError(
        status === 'Stopped'
          ? `${instance} is stopped and has no address; interlink lab instance start ${instance}`
          : `${instance} has no address yet; --wait-for waits, and interlink lab instance set-ip gives it one`
      )
    return
  }
}

export async function instanceSetIp(lab: Lab, flags: LabFlags & AddressFlags, name: string): Promise<void> {
  const found = await lab.instance(name)
  const { cidr, gateway, nic } = await setAddress(found, lab.options, addressWish(flags))
  const instance = nameOfFound(found)
  lab.print(
    { instance, address: cidr, gateway, nic },
    () => `${instance} has ${cidr} by ${gateway} on ${nic}\n`
  )
}

export async function instanceSetKey(
  lab: Lab,
  { login, keyFile }: LabFlags & { readonly login: string; readonly keyFile?: string },
  name: string,
  file: string | undefined
): Promise<void> {
  const chosen = file ?? keyFile
  if (chosen === undefined)
    throw new UsageError('name the file of a public key, such as ~/.ssh/id_ed25519.pub')
  const keys = (await readOwn(chosen))
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map(readPublicKey)
  const found = await lab.instance(name)
  const added = await addAuthorizedKeys(found, login, keys)
  const instance = nameOfFound(found)
  lab.print({ instance, login, added: added.map(withoutLine) }, () =>
    added.length === 0
      ? `${instance}: ${login} has the key already\n`
      : added.map(({ fingerprint }) => `${instance}: ${login} is let in by ${fingerprint}\n`).join('')
  )
}

export async function instanceKeys(
  lab: Lab,
  { login, keys: whole = false }: LabFlags & { readonly login: string; readonly keys?: boolean },
  name: string
): Promise<void> {
  const keys = await authorizedKeys(await lab.instance(name), login)
  if (whole) return lab.print(keys, () => keys.map(({ line }) => `${line}\n`).join(''))
  lab.printTable(keys.map(withoutLine), {
    TYPE: ({ type }) => type,
    FINGERPRINT: ({ fingerprint }) => fingerprint,
    COMMENT: ({ comment }) => comment
  })
}

const withoutLine = ({ type, fingerprint, comment }: Awaited<ReturnType<typeof authorizedKeys>>[number]) => ({
  type,
  fingerprint,
  comment
})
