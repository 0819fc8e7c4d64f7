import { createHash } from 'node:crypto'
import type { Plan, PlannedResources } from '../kit/plan/plan.ts'
import { firstProgram } from './first-program.ts'
import { instanceDevices } from './instance-devices.ts'
import type { IncusOptions } from './options.ts'
import { readWishes } from './pod-wishes.ts'
import type { RootDisk } from './root-disk.ts'

/** Incus takes letters, digits and hyphens, at most 63, no digit first; names of pods come again, UIDs do not. */
export const instanceName = (uid: string): string =>
  `p-${createHash('sha256').update(uid).digest('hex').slice(0, 24)}`

/** By which an instance is known for this project's, and whose it is. */
export const marks = { uid: 'user.interlink.uid', root: 'user.interlink.root' } as const

export interface Marked {
  readonly config: Readonly<Record<string, string>>
}

export const isMarked = (config: Marked['config'], uid: string, mark: string): boolean =>
  config[marks.uid] === uid && config[marks.root] === mark

/** `source` of an instance for an image as a pod names it: `<remote>:<alias>`, an alias, or a fingerprint. */
export function imageSource(
  image: string,
  remotes: IncusOptions['remotes']
): Readonly<Record<string, string>> {
  const [, word = '', alias = ''] = /^([A-Za-z0-9-]+):(.+)$/.exec(image) ?? []
  const remote = Object.hasOwn(remotes, word) ? remotes[word] : undefined
  if (remote) return { type: 'image', mode: 'pull', server: remote.url, protocol: remote.protocol, alias }
  return /^[0-9a-f]{64}$/.test(image)
    ? { type: 'image', fingerprint: image }
    : { type: 'image', alias: image }
}

/** All profiles of a pod's instance, in the order in which they hold. */
export const profilesOf = (plan: Plan, options: IncusOptions): string[] => [
  ...new Set([...options.profiles, ...readWishes(plan, options).profiles])
]

/**
 * The body of `POST /1.0/instances`: made, but not started.
 * @param mark of the plugin's root
 * @param disk in the place of the profiles' own
 */
export function instanceRequest(plan: Plan, mark: string, options: IncusOptions, disk?: RootDisk): object {
  const { pod } = plan
  const lent = instanceDevices(plan, options)
  return {
    name: instanceName(pod.uid),
    type: 'container',
    description: `pod ${pod.namespace}/${pod.name}`,
    source: imageSource(plan.containers[0]!.image, options.remotes),
    profiles: profilesOf(plan, options),
    config: {
      [marks.uid]: pod.uid,
      [marks.root]: mark,
      'user.interlink.namespace': pod.namespace,
      'user.interlink.pod': pod.name,
      'boot.autostart': 'false',
      'raw.lxc': `lxc.init.cmd = ${firstProgram}`,
      ...limits(plan),
      ...lent.config
    },
    devices: {
      ...(disk ? { [disk.name]: disk.device } : {}),
      ...lent.devices,
      ...hostPathDevices(plan)
    }
  }
}

const hostPathDevices = ({ volumes }: Plan): Record<string, Record<string, string>> =>
  Object.fromEntries(
    volumes.flatMap((volume) =>
      volume.kind === 'hostPath'
        ? [
            [
              `volume-${volume.name}`,
              { type: 'disk', source: volume.path, path: hostPathOf(volume.name), shift: 'true' }
            ]
          ]
        : []
    )
  )

/** Where a hostPath volume is in the instance. */
export const hostPathOf = (volume: string): string => `/.interlink-host/${volume}`

/**
 * Above what the containers may use: the supervisor ends one that takes more than its own limit, and says so, where the
 * kernel would end any process of the instance without a word.
 */
const headroom = 128 * 1024 * 1024

/** What the containers may use together; only where each says how much. */
function limits({ containers, resources }: Plan): Record<string, string> {
  const cpu = total(
    containers.map(({ limits: { cpuMillis } }) => cpuMillis),
    resources.cpuMillis
  )
  const memory = total(
    containers.map(({ limits: { memoryBytes } }) => memoryBytes),
    resources.memoryBytes
  )
  return {
    ...(cpu === undefined
      ? {}
      : {
          // What a quota of the project counts.
          'limits.cpu': String(Math.max(1, Math.ceil(cpu / 1000))),
          // A hundredth of a core is the least that a period of 100 ms tells apart.
          'limits.cpu.allowance': `${Math.max(1, Math.ceil(cpu / 10))}ms/100ms`
        }),
    ...(memory === undefined ? {} : { 'limits.memory': `${memory + headroom}B` })
  }
}

function total(
  limits: readonly (number | undefined)[],
  requested: PlannedResources['cpuMillis']
): number | undefined {
  let sum = 0
  for (const limit of limits) {
    if (limit === undefined) return undefined
    sum += limit
  }
  return Math.max(sum, requested)
}
