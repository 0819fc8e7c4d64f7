import { Type, type Static } from 'typebox'
import type { Plan } from '../kit/plan/plan.ts'
import type { Annotation } from '../kit/plan/annotations.ts'
import { parseFlags, type Flag } from './annotations/parse-flags.ts'

const closed = { additionalProperties: false } as const

/** A named set of sbatch flags that the site offers. */
export const Flavor = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    description: Type.Optional(Type.String()),
    flags: Type.String({ default: '', description: 'flags of sbatch, as in the annotation' }),
    cpus: Type.Optional(Type.Integer({ minimum: 1, description: 'where the pod asks for none' })),
    memory: Type.Optional(
      Type.String({ description: 'as sbatch --mem takes it, such as 8G; where the pod asks for none' })
    )
  },
  closed
)
export type Flavor = Static<typeof Flavor>

export interface ChosenFlavor {
  readonly flavor?: Flavor
  readonly flags: readonly Flag[]
  readonly notice?: string
}

/**
 * The flavor of a pod: the one it names, else by its number of GPUs, the one whose flags ask for as many, the first
 * whose name says gpu; else the default one.
 */
export function chooseFlavor(
  plan: Plan,
  asked: Annotation | undefined,
  flavors: readonly Flavor[],
  defaultFlavor: string | undefined
): ChosenFlavor {
  const named = (name: string | undefined) => flavors.find((flavor) => flavor.name === name)
  const wanted = asked?.value.trim()
  const flavor = named(wanted) ?? byGpus(plan, flavors) ?? named(defaultFlavor)
  const offered = flavors.map(({ name }) => name).join(', ') || 'none'
  const notice =
    wanted !== undefined && flavor?.name !== wanted
      ? `${asked!.name}: there is no flavor ${JSON.stringify(wanted)} (this site has ${offered}); ${flavor ? `${flavor.name} is used` : 'none is used'}`
      : undefined
  return {
    flags: flavor ? flavorFlags(flavor) : [],
    ...(flavor ? { flavor } : {}),
    ...(notice ? { notice } : {})
  }
}

/** The site's own words are not held against the policy for pods. */
export function flavorFlags({ flags, cpus, memory }: Flavor): readonly Flag[] {
  return [
    ...(cpus === undefined ? [] : [siteFlag('cpus-per-task', String(cpus))]),
    ...(memory === undefined ? [] : [siteFlag('mem', memory)]),
    ...parseFlags(flags).flags
  ]
}

const siteFlag = (name: string, value: string): Flag => ({ name, value, written: `--${name}=${value}` })

function byGpus({ resources }: Plan, flavors: readonly Flavor[]): Flavor | undefined {
  const gpus = Object.entries(resources.extended)
    .filter(([name]) => /\/gpu$/.test(name))
    .reduce((sum, [, count]) => sum + count, 0)
  if (gpus === 0) return undefined
  const count = new RegExp(`^gpu(:[^:,]+)?:${gpus}$`)
  return (
    flavors.find((flavor) =>
      flavorFlags(flavor).some(({ name, value = '' }) =>
        name === 'gpus' ? value.replace(/^.*:/, '') === String(gpus) : name === 'gres' && count.test(value)
      )
    ) ?? flavors.find(({ name }) => /gpu/i.test(name))
  )
}
