import { Type, type Static } from 'typebox'
import type { Plan, PlannedResources } from './plan.ts'

/** Labels by which pods ask for a model of hardware. */
export const modelLabel = (resource: string) =>
  Type.Object(
    {
      key: Type.String({ description: 'key of a nodeSelector or toleration' }),
      resource: Type.Optional(Type.String({ description: resource })),
      names: Type.Record(Type.String(), Type.String(), {
        default: {},
        description: "the pod's value to the batch system's name; others are taken in lower case"
      })
    },
    { additionalProperties: false }
  )
export type ModelLabel = Static<ReturnType<typeof modelLabel>>

/** What an extended resource is to a site; a `*` at the end of a key stands for the `*` of its value. */
export function targetOf(resource: string, known: Readonly<Record<string, string>>): string | undefined {
  if (Object.hasOwn(known, resource)) return known[resource]
  for (const [pattern, target] of Object.entries(known)) {
    if (pattern.endsWith('*') && resource.startsWith(pattern.slice(0, -1)))
      return target.replaceAll('*', resource.slice(pattern.length - 1))
  }
  return undefined
}

/** What the pod says under the key of such a label. */
export const labelled = ({ pod }: Plan, key: string): string | undefined =>
  (pod.nodeSelector?.[key] ?? pod.tolerations?.find((each) => each.key === key)?.value) || undefined

/** Whether the pod asks for a kind of GPU, by which the container is given its devices. */
export function gpuKinds({ extended }: PlannedResources): {
  readonly nvidia: boolean
  readonly amd: boolean
} {
  const names = Object.keys(extended)
  return {
    nvidia: names.some((name) => name.startsWith('nvidia.com/')),
    amd: names.some((name) => name.startsWith('amd.com/'))
  }
}
