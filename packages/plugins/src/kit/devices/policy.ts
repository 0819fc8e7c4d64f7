import { Type, type Static } from 'typebox'
import type { CardGroup } from './card-pool.ts'
import type { Card } from './card.ts'
import type { DeviceRequest, Lease } from './lease.ts'

const closed = { additionalProperties: false } as const

/** What a policy may look at. */
export interface PolicyView {
  readonly now: number
  leases(): Iterable<Lease>
  /** Seconds of whole cards that a project has had, the older the less. */
  usage(project: string): number
}

/**
 * Who may have what, and who goes first. A site that knows more, such as a calendar of bookings, wraps the one of
 * {@link createPolicy} and overrides what it decides.
 */
export interface DevicePolicy {
  /** How well cards suit a request, lower is better; undefined: not these. */
  rank(request: DeviceRequest, group: CardGroup, view: PolicyView): number | undefined
  /** Why a request may not be served now, such as a quota; undefined: it may. `final`: nor ever. */
  refuse(
    request: DeviceRequest,
    view: PolicyView
  ): { readonly reason: string; readonly final: boolean } | undefined
  /** Who of two that wait goes first: negative for the first one. 0: who came first. */
  compare(a: DeviceRequest, b: DeviceRequest, view: PolicyView): number
  /** Whether a request may take a card back from its holder, and how; undefined: no. */
  reclaim(
    request: DeviceRequest,
    lease: Lease,
    card: Card,
    view: PolicyView
  ): { readonly graceSeconds: number; readonly message: string } | undefined
  /** When a lease that begins now has to be over; undefined: never. Bookings end it earlier. */
  until(request: DeviceRequest, cards: readonly Card[], view: PolicyView): number | undefined
  /** How long before its end a holder is told. */
  readonly noticeSeconds: number
}

const count = Type.Integer({ minimum: 0 })

/** The broker's `policy` section. Projects are namespaces. */
export const PolicyOptions = Type.Object(
  {
    lending: Type.Object(
      {
        lend: Type.Boolean({ default: true, description: 'whether others may borrow what has an owner' }),
        graceSeconds: Type.Number({
          default: 600,
          minimum: 0,
          description: 'how long a borrower may stay once the owner asks'
        }),
        minimumSeconds: Type.Number({
          default: 0,
          minimum: 0,
          description: 'how long a borrower may stay in any case, counted from its start'
        })
      },
      { ...closed, default: {} }
    ),
    owners: Type.Record(
      Type.String(),
      Type.Object(
        { lend: Type.Optional(Type.Boolean()), graceSeconds: Type.Optional(Type.Number({ minimum: 0 })) },
        closed
      ),
      { default: {}, description: 'what differs for the cards of one owner' }
    ),
    quotas: Type.Record(Type.String(), Type.Record(Type.String(), count), {
      default: {},
      description: 'by project, * for all others: how many of a resource at the same time'
    }),
    shares: Type.Record(Type.String(), Type.Number({ exclusiveMinimum: 0 }), {
      default: {},
      description: 'by project: with 2, it may have used twice as much before others go first; default: 1'
    }),
    maxLeaseSeconds: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, description: 'after which a holder has to go, but for owners' })
    )
  },
  closed
)
export type PolicyOptions = Static<typeof PolicyOptions>

/** Owners first, then quotas and fair shares. */
export function createPolicy(options: PolicyOptions): DevicePolicy {
  const { lending, owners, quotas, shares, maxLeaseSeconds } = options
  const lends = (owner: string) => owners[owner]?.lend ?? lending.lend
  const graceOf = (owner: string) => owners[owner]?.graceSeconds ?? lending.graceSeconds
  const entitled = ({ project }: DeviceRequest, view: PolicyView) =>
    view.usage(project) / (shares[project] ?? 1)
  return {
    noticeSeconds: lending.graceSeconds,

    rank({ project }, { owner }) {
      if (owner === project) return 0
      if (owner === undefined) return 1
      return lends(owner) ? 2 : undefined
    },

    refuse(request, view) {
      const quota = quotas[request.project] ?? quotas['*'] ?? {}
      for (const [resource, most] of Object.entries(quota)) {
        const wanted = request.resources[resource] ?? 0
        if (wanted === 0) continue
        const says = `project ${request.project} may have ${most} of ${resource} at the same time`
        if (wanted > most) return { reason: `${says}; ask for no more than that`, final: true }
        const held = heldBy(request.project, resource, view)
        if (held + wanted > most)
          return { reason: `${says} and has ${held}; it waits until some come back`, final: false }
      }
      return undefined
    },

    compare: (a, b, view) => entitled(a, view) - entitled(b, view),

    reclaim(request, { request: holder, boundAt }, { owner }, { now }) {
      if (owner === undefined || owner !== request.project || holder.project === owner) return undefined
      if (boundAt !== undefined && now - boundAt < lending.minimumSeconds * 1000) return undefined
      const graceSeconds = graceOf(owner)
      return {
        graceSeconds,
        message: `${owner}, who owns the card, needs it for ${request.name ?? request.uid}`
      }
    },

    until: ({ project }, cards, { now }) =>
      maxLeaseSeconds === undefined || cards.every(({ owner }) => owner === project)
        ? undefined
        : now + maxLeaseSeconds * 1000
  }
}

function heldBy(project: string, resource: string, view: PolicyView): number {
  let held = 0
  for (const { request, holdings } of view.leases())
    if (request.project === project)
      held += holdings.filter((holding) => holding.resource === resource).length
  return held
}
