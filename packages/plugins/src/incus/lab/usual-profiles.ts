/** The profiles that every remote of a lab has, and one for each of its cards. */
import { PluginError } from '../../errors.ts'
import { cardsOf } from './gpu-inventory.ts'
import type { Card } from './gpu-inventory.ts'
import { createProfile, findProfile, profileNames, type Profile } from './profiles.ts'
import type { LabServer, Remotes } from './remotes.ts'
import type { Scope } from './scope.ts'

const compute = (size: string, cpus: number, gib: number): Profile => ({
  name: `compute-${size}`,
  description: `${cpus} CPUs, ${gib} GiB of memory`,
  config: { 'limits.cpu': String(cpus), 'limits.memory': `${gib}GiB` },
  devices: {}
})

const ssh: Profile = {
  name: 'ssh-deploy',
  description: 'an SSH server, by cloud-init',
  config: {
    'cloud-init.vendor-data':
      '#cloud-config\npackages: [openssh-server]\nruncmd: [[systemctl, enable, --now, ssh]]\n'
  },
  devices: {}
}

/** Where another remote is not copied from. */
export const usualProfiles: readonly Profile[] = [
  compute('small', 2, 4),
  compute('medium', 4, 16),
  compute('large', 16, 64),
  ssh
]

const disk = (gib: number, pool: string): Profile => ({
  name: `disk-${gib}GB`,
  description: `a root disk of ${gib} GiB`,
  config: {},
  devices: { root: { type: 'disk', path: '/', pool, size: `${gib}GiB` } }
})

/** A whole card for a container, and for a virtual machine. */
export const profilesOfCard = ({ pci, model }: Card): readonly Profile[] => {
  const suffix = pci.replaceAll(/[:.]/g, '-')
  const devices = { gpu: { type: 'gpu', gputype: 'physical', pci } }
  return [
    { name: `gpu-cnt-${suffix}`, description: `${model} for a container`, config: {}, devices },
    {
      name: `gpu-vm-${suffix}`,
      description: `${model} for a virtual machine`,
      config: {
        'security.secureboot': 'false',
        'raw.qemu': '-global q35-pcihost.pci-hole64-size=1024G'
      },
      devices
    }
  ]
}

export interface InitOptions {
  /** Those alone. */
  readonly names?: readonly string[]
  /** Copied from there where they are; those that are not are made. @default made */
  readonly from?: Scope
}

export interface Initialised {
  readonly remote: string
  readonly made: readonly string[]
  /** They are left as they are. */
  readonly kept: readonly string[]
}

/** Gives a remote the usual profiles. What is there by name stays as it is, so that it can be run again. */
export async function initProfiles(
  remotes: Remotes,
  server: LabServer,
  { names, from }: InitOptions = {}
): Promise<Initialised> {
  const there = await profileNames(server)
  const wished = await wishedProfiles(server)
  const known = new Map(wished.map((profile) => [profile.name, profile]))
  const copied = new Map<string, Profile>()
  if (from) {
    const source = await remotes.connect(from.remote, from.project)
    const usable = await profileNames(source)
    for (const name of names ?? [...known.keys()].filter((one) => !one.startsWith('gpu-')))
      if (usable.includes(name)) copied.set(name, (await findProfile(remotes, { ...from, name })).profile)
  }
  const chosen = names ?? [...known.keys()]
  const made: string[] = []
  const kept: string[] = []
  for (const name of chosen) {
    const profile = copied.get(name) ?? known.get(name)
    if (!profile)
      throw new PluginError('LAB_UNKNOWN', {
        kind: 'usual profile',
        name,
        fix: `there are ${[...known.keys()].join(', ')}`
      })
    if (there.includes(name)) kept.push(name)
    else {
      await createProfile(server, profile)
      made.push(name)
    }
  }
  return { remote: server.remote, made, kept }
}

async function wishedProfiles(server: LabServer): Promise<readonly Profile[]> {
  const pool = await rootPool(server)
  const disks = pool === undefined ? [] : [disk(64, pool), disk(128, pool)]
  const cards = await cardsOf(server)
  return [...usualProfiles, ...disks, ...cards.flatMap(profilesOfCard)]
}

/** Where the disks of instances are by default; else the only pool. */
async function rootPool(server: LabServer): Promise<string | undefined> {
  const usual = await server.find<Profile>('/1.0/profiles/default')
  const root = Object.values(usual?.devices ?? {}).find(({ type, path }) => type === 'disk' && path === '/')
  if (root?.pool !== undefined) return root.pool
  const pools = await server.get<string[]>('/1.0/storage-pools')
  return pools.length === 1 ? pools[0]!.split('/').at(-1) : undefined
}
