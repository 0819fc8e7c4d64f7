import { annotationField } from '../kit/plan/annotations.ts'
import type { Plan, Refusal } from '../kit/plan/plan.ts'
import type { IncusOptions } from './options.ts'

const prefix = 'interlink.io/incus-'
const profilesName = `${prefix}profiles`
/** A server, by its name or where it is. */
export const locationName = `${prefix}location`
export const typeName = `${prefix}type`
/** Whether the containers of a pod share an instance, `pod`, or have one each, `containers`. */
export const layoutName = `${prefix}layout`
/** User data of cloud-init, such as `#cloud-config` and what follows. */
export const cloudInitName = `${prefix}cloud-init`
/** `true` or `false`. */
export const secureBootName = `${prefix}secure-boot`
/** Of virtual machines alone. */
export const machineNames = [cloudInitName, secureBootName]
const known = [profilesName, typeName, locationName, layoutName, ...machineNames]
const types = ['container', 'vm']
const layouts = ['pod', 'containers']

/** What the annotations of a pod ask of its instance, as far as the site has opened it. */
export function readWishes(
  { pod }: Plan,
  { podProfiles }: Pick<IncusOptions, 'podProfiles'>
): { readonly profiles: readonly string[]; readonly refusals: readonly Refusal[] } {
  const refusals: Refusal[] = []
  const refuse = (name: string, message: string) => refusals.push({ field: annotationField(name), message })
  const { annotations } = pod
  for (const name of Object.keys(annotations))
    if (name.startsWith(prefix) && !known.includes(name))
      refuse(name, `is not known; known are ${known.join(', ')}`)
  const type = annotations[typeName]
  if (type !== undefined && !types.includes(type))
    refuse(typeName, `"${type}" is no type; expected one of ${types.join(', ')}`)
  const layout = annotations[layoutName]
  if (layout !== undefined && !layouts.includes(layout))
    refuse(layoutName, `"${layout}" is no layout; expected one of ${layouts.join(', ')}`)
  if (layout === 'containers' && type === 'vm')
    refuse(
      layoutName,
      'a virtual machine has all containers of its pod; say pod, or interlink.io/incus-type: container'
    )
  const secureBoot = annotations[secureBootName]
  if (secureBoot !== undefined && !/^(true|false)$/.test(secureBoot))
    refuse(secureBootName, `"${secureBoot}" is neither true nor false`)
  const userData = annotations[cloudInitName]
  if (userData !== undefined && !/^(#|Content-Type:|MIME-Version:)/i.test(userData))
    refuse(cloudInitName, 'is no user data: its first line says its kind, such as #cloud-config or #!/bin/sh')
  const profiles = (annotations[profilesName] ?? '')
    .split(',')
    .map((profile) => profile.trim())
    .filter(Boolean)
  const may = podProfiles.length > 0 ? `the site opens ${podProfiles.join(', ')}` : 'the site opens none'
  for (const profile of profiles)
    if (!podProfiles.includes(profile))
      refuse(profilesName, `"${profile}" is none that pods may choose; ${may}`)
  return { profiles, refusals }
}

/** @param why in the words of the servers that the pod may go to */
export const noMachines = (why: string, fix = 'say container'): Refusal => ({
  field: annotationField(typeName),
  message: `no virtual machine can run there (${why}); ${fix}`
})
