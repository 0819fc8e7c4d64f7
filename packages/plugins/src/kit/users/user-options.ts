import { Type, type Static } from 'typebox'
import type { Plan, Refusal } from '../plan/plan.ts'
import { annotationField } from '../plan/annotations.ts'

const closed = { additionalProperties: false } as const
/** Each user's own: below the home of the user, or with the name in it. */
const ofUser = /^(~\/|\/.*\{user\})/
export const isPerUser = (path: string): boolean => ofUser.test(path)
const pathOfUser = (options: object) => Type.String({ pattern: ofUser.source, ...options })

/** Whose jobs the pods of a namespace are. */
export const UserOptions = Type.Object(
  {
    through: Type.Union([Type.Literal('sudo'), Type.Literal('ssh')], {
      description:
        'how the plugin becomes a user: sudo -n on the machine of the batch system’s clients, or a connection of each user to options.ssh'
    }),
    namespaces: Type.Record(
      Type.String(),
      Type.Array(Type.String({ pattern: '^(?!root$)[A-Za-z_][A-Za-z0-9_.-]{0,31}$' }), { minItems: 1 }),
      {
        description:
          'namespace to its users: the first, unless a pod names another of them by the annotation interlink.io/user'
      }
    ),
    unmapped: Type.Union([Type.Literal('refuse'), Type.Literal('account')], {
      default: 'refuse',
      description: 'pods of other namespaces: refused, or run as the account of the plugin'
    }),
    directory: pathOfUser({
      default: '~/.interlink/jobs',
      description: 'job directories of a user on the cluster, below ~/ or with {user}; made by the user'
    }),
    keyFile: Type.Optional(
      Type.String({
        pattern: '^/.*\\{user\\}',
        description: 'private key for each user, with {user}; default: that of options.ssh'
      })
    )
  },
  closed
)
export type UserOptions = Static<typeof UserOptions>

const annotation = 'interlink.io/user'

/** Who the job of a pod belongs to; without `user` it is the account of the plugin. No pod gets what is not listed. */
export function userOf(
  { pod }: Plan,
  { namespaces, unmapped }: UserOptions
): { readonly user?: string } | { readonly refusal: Refusal } {
  const users = Object.hasOwn(namespaces, pod.namespace) ? namespaces[pod.namespace]! : []
  const asked = pod.annotations[annotation]?.trim()
  if (asked !== undefined && !users.includes(asked))
    return {
      refusal: {
        field: annotationField(annotation),
        message: `${JSON.stringify(asked)} is no user of namespace ${pod.namespace} (${users.join(', ') || 'it has none'}); remove or correct it`
      }
    }
  const found = asked ?? users[0]
  if (found !== undefined) return { user: found }
  if (unmapped === 'account') return {}
  return {
    refusal: {
      field: 'metadata.namespace',
      message: `no user of the cluster stands for namespace ${pod.namespace}; ask the site to add it to options.users.namespaces`
    }
  }
}

export const forUser = (path: string, name: string): string => path.replaceAll('{user}', name)
