import { locationName } from './choose-server.ts'
import { annotationField } from '../kit/plan/annotations.ts'
import type { Plan, Refusal } from '../kit/plan/plan.ts'
import type { IncusOptions } from './options.ts'

const prefix = 'interlink.io/incus-'
const profilesName = `${prefix}profiles`
const typeName = `${prefix}type`
const known = [profilesName, typeName, locationName]

/** What the annotations of a pod ask of its instance, as far as the site has opened it. */
export function readWishes(
  { pod }: Plan,
  { podProfiles }: Pick<IncusOptions, 'podProfiles'>
): { readonly profiles: readonly string[]; readonly refusals: readonly Refusal[] } {
  const refusals: Refusal[] = []
  const refuse = (name: string, message: string) => refusals.push({ field: annotationField(name), message })
  for (const name of Object.keys(pod.annotations))
    if (name.startsWith(prefix) && !known.includes(name))
      refuse(name, `is not known; known are ${known.join(', ')}`)
  const type = pod.annotations[typeName] ?? 'container'
  if (type !== 'container')
    refuse(
      typeName,
      `"${type}" is not offered: the supervisor is put into an instance before it starts, which Incus does for containers alone; say container`
    )
  const profiles = (pod.annotations[profilesName] ?? '')
    .split(',')
    .map((profile) => profile.trim())
    .filter(Boolean)
  const may = podProfiles.length > 0 ? `the site opens ${podProfiles.join(', ')}` : 'the site opens none'
  for (const profile of profiles)
    if (!podProfiles.includes(profile))
      refuse(profilesName, `"${profile}" is none that pods may choose; ${may}`)
  return { profiles, refusals }
}
