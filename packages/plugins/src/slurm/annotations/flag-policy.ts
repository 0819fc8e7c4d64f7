import { Type, type Static } from 'typebox'
import type { Flag } from './parse-flags.ts'

const closed = { additionalProperties: false } as const

const rules = {
  allow: Type.Optional(
    Type.Array(Type.String(), { description: 'long names of the flags that pods may set; default: all' })
  ),
  deny: Type.Array(Type.String(), { default: [], description: 'long names of flags that pods may not set' }),
  values: Type.Record(Type.String(), Type.String(), {
    default: {},
    description: 'long name to a regular expression that its whole value must match'
  })
}

/** What pods may say to sbatch; what would break or endanger is refused whatever stands here. */
export const FlagPolicy = Type.Object(
  {
    ...rules,
    namespaces: Type.Record(Type.String(), Type.Object(rules, { ...closed, default: {} }), {
      default: {},
      description: 'further rules for the pods of a namespace; both must be kept'
    })
  },
  { ...closed, default: {} }
)
export type FlagPolicy = Static<typeof FlagPolicy>
type Rules = Pick<FlagPolicy, 'allow' | 'deny' | 'values'>

const otherAccount = 'whose account a job runs under is decided by the site'
const environment = 'the environment of a job is made of the pod alone'
const answer = 'it changes what sbatch answers to the plugin'
const script = 'what runs is the pod itself'
const siteFile = 'it reads a file of the machine that submits'

/** Refused everywhere, and why. */
export const forbiddenFlags: ReadonlyMap<string, string> = new Map([
  ['wrap', script],
  ['container', script],
  ['container-id', script],
  ['array', 'one pod is one job; use an Indexed Job'],
  ['comment', 'the job is found by its comment'],
  ['clusters', 'the job would be looked for on another cluster'],
  ['uid', otherAccount],
  ['gid', otherAccount],
  ['export', environment],
  ['export-file', environment],
  ['get-user-env', environment],
  ['propagate', environment],
  ['bbf', siteFile],
  ['nodefile', siteFile],
  ...['parsable', 'test-only', 'wait', 'help', 'usage', 'version', 'autocomplete'].map(
    (name) => [name, answer] as const
  )
])

/** The flags that a pod may not set here, each with its rule: `--wrap=…: what runs is the pod itself; remove it`. */
export function refuseFlags(flags: readonly Flag[], policy: FlagPolicy, namespace: string): string[] {
  const own = Object.hasOwn(policy.namespaces, namespace) ? policy.namespaces[namespace] : undefined
  return flags.flatMap((flag) => {
    const why =
      forbiddenFlags.get(flag.name) ??
      whyNot(flag, policy, 'this site') ??
      (own ? whyNot(flag, own, `namespace ${namespace}`) : undefined)
    return why === undefined ? [] : [`${flag.written}: ${why}; remove it`]
  })
}

function whyNot({ name, value }: Flag, { allow, deny, values }: Rules, who: string): string | undefined {
  if (deny.includes(name)) return `${who} does not let pods set --${name}`
  if (allow && !allow.includes(name))
    return `${who} lets pods set only ${allow.map((each) => `--${each}`).join(', ') || 'nothing'}`
  const pattern = Object.hasOwn(values, name) ? values[name] : undefined
  if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`, 'u').test(value ?? ''))
    return `${who} takes --${name} only as ${pattern}`
  return undefined
}
