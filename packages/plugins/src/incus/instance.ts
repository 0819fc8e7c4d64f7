import { createHash } from 'node:crypto'
import type { Plan } from '../kit/plan/plan.ts'
import { instanceDevices } from './instance-devices.ts'
import { formOf } from './form-of.ts'
import type { InstanceForm, Options } from './instance-form.ts'
import { ociImage } from './oci-image.ts'
import type { IncusOptions } from './options.ts'
import { readWishes } from './pod-wishes.ts'
import type { PodDisks } from './root-disk.ts'
import { isSplit, podOf, sharedPath, sharedVolumes } from './split-plan.ts'

/**
 * Incus takes letters, digits and hyphens, at most 63, no digit first; names of pods come again, UIDs do not.
 * @param key UID of a pod, or the key of a part, see `partKey`
 */
export function instanceName(key: string): string {
  const uid = podOf(key)
  return uid === key ? ownName(uid) : ownName(uid, key.slice(uid.length + 1))
}

/** What is a pod's alone, by name: its instance, or that of a container, or a volume. */
export function ownName(uid: string, part?: string): string {
  const pod = `p-${hash(uid).slice(0, 24)}`
  if (part === undefined) return pod
  return `${pod}-${part.length <= 36 ? part : `${part.slice(0, 27).replace(/-+$/, '')}-${hash(part).slice(0, 8)}`}`
}

const hash = (text: string): string => createHash('sha256').update(text).digest('hex')

/** By which an instance or a volume is known for this project's, and whose it is. */
export const marks = {
  uid: 'user.interlink.uid',
  root: 'user.interlink.root',
  container: 'user.interlink.container'
} as const

export interface Marked {
  readonly config: Readonly<Record<string, string>>
}

export const isMarked = (config: Marked['config'], key: string, mark: string): boolean =>
  config[marks.uid] === podOf(key) && config[marks.root] === mark

/**
 * `source` of an instance for an image as a pod names it: `<remote>:<alias>`, `<registry>/<repository>:<tag>`, an alias,
 * or a fingerprint.
 */
export function imageSource(
  image: string,
  remotes: IncusOptions['remotes']
): Readonly<Record<string, string>> {
  const oci = ociImage(image, remotes)
  if (oci) return { type: 'image', mode: 'pull', protocol: 'oci', ...oci }
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

export interface InstanceRequest {
  readonly name: string
  readonly type: InstanceForm['type']
  readonly description: string
  readonly source: Options
  readonly profiles: readonly string[]
  readonly config: Options
  readonly devices: Readonly<Record<string, Options>>
}

/**
 * The body of `POST /1.0/instances`: made, but not started.
 * @param plan of a pod, or of a part, see `partPlan`
 * @param mark of the plugin's root
 */
export function instanceRequest(
  plan: Plan,
  mark: string,
  options: IncusOptions,
  disks: PodDisks = {}
): InstanceRequest {
  const { pod } = plan
  const form = formOf(plan)
  const [first] = plan.containers
  const part = isSplit(plan) ? first!.name : undefined
  return {
    name: ownName(pod.uid, part),
    type: form.type,
    description: `pod ${pod.namespace}/${pod.name}${part === undefined ? '' : `, container ${part}`}`,
    source: imageSource(first!.image, options.remotes),
    profiles: profilesOf(plan, options),
    config: {
      [marks.uid]: pod.uid,
      [marks.root]: mark,
      ...(part === undefined ? {} : { [marks.container]: part }),
      'user.interlink.namespace': pod.namespace,
      'user.interlink.pod': pod.name,
      'boot.autostart': 'false',
      ...form.config(plan, options)
    },
    devices: {
      ...(disks.root ? { [disks.root.name]: disks.root.device } : {}),
      ...instanceDevices(plan, form),
      ...hostPathDevices(plan, form),
      ...sharedDevices(plan, disks.pool?.name ?? '')
    }
  }
}

function sharedDevices(plan: Plan, pool: string): Record<string, Options> {
  return Object.fromEntries(
    sharedVolumes(plan).map(({ name }) => [
      `volume-${name}`,
      { type: 'disk', pool, source: ownName(plan.pod.uid, name), path: sharedPath(name) }
    ])
  )
}

/** What no container may write is read-only for the whole instance: they all are root there. */
function hostPathDevices({ volumes, containers }: Plan, form: InstanceForm): Record<string, Options> {
  const written = new Set(
    containers.flatMap(({ mounts }) => mounts.flatMap(({ volume, readOnly }) => (readOnly ? [] : [volume])))
  )
  return Object.fromEntries(
    volumes.flatMap((volume) => {
      if (volume.kind !== 'hostPath') return []
      const device = form.hostPath(volume.path, hostPathOf(volume.name))
      const shown: Options = written.has(volume.name) ? device : { ...device, readonly: 'true' }
      return [[`volume-${volume.name}`, shown]]
    })
  )
}

/** Where a hostPath volume is in the instance. */
export const hostPathOf = (volume: string): string => `/.interlink-host/${volume}`
