import { PluginError } from '../../errors.ts'
import { readPublicKey } from './authorized-keys.ts'
import { imageSource } from './image-source.ts'
import { fullName, type InstanceType } from './instance-record.ts'
import { requireProject } from './instances.ts'
import { createProject } from './projects.ts'
import { profileNames } from './profiles.ts'
import type { LabServer, Remotes } from './remotes.ts'
import { checkName, type Scope } from './scope.ts'
import { addressChange, planAddress, type AddressWish } from './static-address.ts'
import type { LabOptions } from './lab-options.ts'

export interface CreateOptions {
  readonly type?: InstanceType
  /** Beside `default`. @default compute-medium, where there is one */
  readonly profiles?: readonly string[]
  /** Makes the project where there is none. */
  readonly makeProject?: boolean
  readonly address?: AddressWish
  /** Public SSH keys that cloud-init gives to `login`. */
  readonly keys?: string
  /** @default ubuntu */
  readonly login?: string
  readonly start?: boolean
}

export interface Created {
  readonly instance: string
  readonly type: InstanceType
  readonly profiles: readonly string[]
  readonly address?: string
  readonly projectMade: boolean
}

const usual = 'compute-medium'

/** @throws PluginError whatever is wrong with the wish, before anything is made */
export async function createInstance(
  remotes: Remotes,
  options: LabOptions,
  { remote, project, name }: Scope,
  image: string,
  wish: CreateOptions
): Promise<Created> {
  if (name === undefined)
    throw new PluginError('LAB_INVALID', { field: 'scope', reason: 'it names no instance' })
  checkName('instance', name)
  const server = await remotes.connect(remote, project)
  const instance = fullName({ remote: server.remote, project: server.project, name })
  const isMade =
    (wish.makeProject ?? false) &&
    (await server.find(`/1.0/projects/${encodeURIComponent(server.project)}`)) === undefined
  if (!isMade) await requireProject(server, server.project)
  // What is missing there is seen in the default project, whose profiles and images a new project shares.
  const looked = isMade ? await remotes.connect(server.remote, 'default') : server
  if (!isMade && (await server.find(`/1.0/instances/${encodeURIComponent(name)}`)))
    throw new PluginError('LAB_EXISTS', {
      kind: 'instance',
      name: instance,
      fix: 'choose another name, or delete that one first'
    })
  const profiles = await chosenProfiles(looked, wish.profiles)
  const source = await imageSource(remotes, looked, image)
  const keys = wish.keys === undefined ? undefined : readPublicKeys(wish.keys)
  const address = wish.address && (await planAddress(looked, options, wish.address, profiles))
  if (isMade) await createProject(server)
  const given = address && addressChange(address)
  await server.change('POST', '/1.0/instances', {
    json: {
      name,
      type: wish.type ?? 'container',
      source,
      profiles,
      config: {
        ...(keys === undefined ? {} : { 'cloud-init.user-data': userData(wish.login ?? 'ubuntu', keys) }),
        ...given?.config
      },
      devices: { ...given?.devices },
      start: wish.start ?? false
    }
  })
  return {
    instance,
    type: wish.type ?? 'container',
    profiles,
    ...(address === undefined ? {} : { address: address.cidr }),
    projectMade: isMade
  }
}

async function chosenProfiles(server: LabServer, wished?: readonly string[]): Promise<readonly string[]> {
  const there = await profileNames(server)
  if (wished === undefined) return there.includes(usual) ? ['default', usual] : ['default']
  const chosen = [...new Set(['default', ...wished.map((name) => checkName('profile', name))])]
  const missing = chosen.filter((name) => !there.includes(name))
  if (missing.length === 0) return chosen
  throw new PluginError('LAB_UNKNOWN', {
    kind: `profile in ${server.remote}:${server.project}`,
    name: missing.join(', '),
    fix: `there are ${there.join(', ')}; interlink lab profile init makes the usual ones`
  })
}

const readPublicKeys = (text: string): readonly string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => readPublicKey(line).line)

/** JSON is YAML, and quotes whatever a key's comment holds. */
const userData = (login: string, keys: readonly string[]): string =>
  `#cloud-config\n${JSON.stringify(
    login === 'root'
      ? { disable_root: false, ssh_authorized_keys: keys }
      : { users: ['default', { name: login, ssh_authorized_keys: keys, shell: '/bin/bash' }] }
  )}\n`
