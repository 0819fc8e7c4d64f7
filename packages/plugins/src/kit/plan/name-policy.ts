import { Type, type Static } from 'typebox'

const closed = { additionalProperties: false } as const

/** What pods may say to a batch system, by name; `what` is what the names are, in words. */
export const namePolicy = (what: string) => {
  const rules = {
    allow: Type.Optional(
      Type.Array(Type.String(), { description: `${what} that pods may set; default: all` })
    ),
    deny: Type.Array(Type.String(), { default: [], description: `${what} that pods may not set` }),
    values: Type.Record(Type.String(), Type.String(), {
      default: {},
      description: 'name to a regular expression that its whole value must match'
    })
  }
  return Type.Object(
    {
      ...rules,
      namespaces: Type.Record(Type.String(), Type.Object(rules, { ...closed, default: {} }), {
        default: {},
        description: 'further rules for the pods of a namespace; both must be kept'
      })
    },
    { ...closed, default: {} }
  )
}
export type NamePolicy = Static<ReturnType<typeof namePolicy>>
type Rules = Omit<NamePolicy, 'namespaces'>

interface Said {
  readonly name: string
  readonly value?: string
}

/** Why a pod of that namespace may not say this, or undefined; `shown` is a name as users write it. */
export function refusedByPolicy(
  said: Said,
  policy: NamePolicy,
  namespace: string,
  shown: (name: string) => string
): string | undefined {
  const own = Object.hasOwn(policy.namespaces, namespace) ? policy.namespaces[namespace] : undefined
  return (
    whyNot(said, policy, 'this site', shown) ??
    (own ? whyNot(said, own, `namespace ${namespace}`, shown) : undefined)
  )
}

function whyNot(
  { name, value }: Said,
  { allow, deny, values }: Rules,
  who: string,
  shown: (name: string) => string
): string | undefined {
  if (deny.includes(name)) return `${who} does not let pods set ${shown(name)}`
  if (allow && !allow.includes(name))
    return `${who} lets pods set only ${allow.map(shown).join(', ') || 'nothing'}`
  const pattern = Object.hasOwn(values, name) ? values[name] : undefined
  if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`, 'u').test(value ?? ''))
    return `${who} takes ${shown(name)} only as ${pattern}`
  return undefined
}
