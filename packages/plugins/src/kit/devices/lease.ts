import { Type, type Static } from 'typebox'
import { Sharing } from './card.ts'

const closed = { additionalProperties: false } as const
const name = Type.String({ minLength: 1 })
/** Milliseconds since the epoch. */
const time = Type.Number()

/** One part of a card and no other. */
export const ExactPart = Type.Object(
  { card: name, resource: name, start: Type.Integer({ minimum: 0 }) },
  closed
)
export type ExactPart = Static<typeof ExactPart>

/** What a pod or a person asks for. */
export const DeviceRequest = Type.Object(
  {
    uid: Type.String({ minLength: 1, description: 'UID of the pod: the same one is the same request' }),
    project: Type.String({ minLength: 1, description: 'who is counted: the namespace of the pod' }),
    name: Type.Optional(Type.String({ description: 'how people call it, for messages' })),
    resources: Type.Record(Type.String(), Type.Integer({ minimum: 1 }), {
      minProperties: 1,
      description: 'how many of which extended resource'
    }),
    exactly: Type.Optional(
      Type.Array(ExactPart, {
        minItems: 1,
        description: 'these parts, as a resource claim was allocated them; `resources` counts them'
      })
    ),
    together: Type.Optional(
      Type.Union([Type.Literal('host'), Type.Literal('any')], { description: 'default: host' })
    ),
    hosts: Type.Optional(Type.Array(name, { minItems: 1, description: 'only cards in these' })),
    models: Type.Optional(Type.Array(name, { minItems: 1, description: 'only cards of these models' })),
    labels: Type.Optional(Type.Record(Type.String(), Type.String())),
    startWithinSeconds: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, description: 'how long it is kept if nothing starts' })
    )
  },
  closed
)
export type DeviceRequest = Static<typeof DeviceRequest>

/** Parts of a card that somebody holds. */
export const Holding = Type.Object(
  {
    card: name,
    /** Host and PCI address, by which a card is known again that came back under another id. */
    place: Type.Optional(name),
    resource: name,
    start: Type.Integer({ minimum: 0 }),
    mask: Type.Integer({ minimum: 1 }),
    /** The share of the card, for what is counted. */
    share: Type.Number({ exclusiveMinimum: 0, maximum: 1 }),
    profile: Type.Optional(name),
    /** Of what was made for this lease, such as a MIG device. */
    uuid: Type.Optional(name)
  },
  closed
)
export type Holding = Static<typeof Holding>

/** Why a holder has to go, and until when it may stay. */
export const Notice = Type.Object(
  {
    reason: Type.Union([Type.Literal('owner'), Type.Literal('time'), Type.Literal('drain')]),
    /** In words, for the pod's event and its DisruptionTarget condition. */
    message: Type.String(),
    /** UID of the request that gets the parts afterwards. */
    for: Type.Optional(name),
    at: time,
    deadline: time
  },
  closed
)
export type Notice = Static<typeof Notice>

/** One line of the journal: something that has happened. */
export const LeaseRecord = Type.Union([
  Type.Object({ type: Type.Literal('request'), at: time, request: DeviceRequest }, closed),
  Type.Object(
    {
      type: Type.Literal('bind'),
      uid: name,
      at: time,
      token: Type.Integer({ minimum: 1 }),
      holdings: Type.Array(Holding, { minItems: 1 }),
      until: Type.Optional(time)
    },
    closed
  ),
  Type.Object({ type: Type.Literal('fence'), uid: name, token: Type.Integer({ minimum: 1 }) }, closed),
  Type.Object(
    {
      type: Type.Literal('realise'),
      uid: name,
      token: Type.Integer(),
      uuids: Type.Array(Type.Object({ card: name, start: Type.Integer(), uuid: name }, closed))
    },
    closed
  ),
  Type.Object({ type: Type.Literal('notice'), uid: name, notice: Notice }, closed),
  Type.Object({ type: Type.Literal('release'), uid: name, at: time, reason: Type.String() }, closed),
  Type.Object(
    { type: Type.Literal('hold'), card: name, mask: Type.Integer(), for: name, until: time },
    closed
  ),
  Type.Object({ type: Type.Literal('drain'), card: name, reason: Type.Optional(Type.String()) }, closed),
  Type.Object({ type: Type.Literal('sharing'), card: name, sharing: Sharing }, closed),
  Type.Object({ type: Type.Literal('usage'), project: name, at: time, cardSeconds: Type.Number() }, closed),
  Type.Object({ type: Type.Literal('token'), token: Type.Integer() }, closed)
])
export type LeaseRecord = Static<typeof LeaseRecord>

/** `requested`: wanted, and nothing is held. `bound`: these parts are this one's until it is released. */
export interface Lease {
  readonly request: DeviceRequest
  readonly phase: 'requested' | 'bound'
  readonly requestedAt: number
  readonly boundAt?: number
  /** Grows with every answer to a bind: who comes with an older one speaks of what is over. */
  readonly token?: number
  readonly holdings: readonly Holding[]
  /** When it has to be over. */
  readonly until?: number
  readonly notice?: Notice
}

/** One name for each device, in a stable order. */
export const resourceList = ({ resources }: Pick<DeviceRequest, 'resources'>): string[] =>
  Object.entries(resources)
    .sort(([a], [b]) => a.localeCompare(b))
    .flatMap(([resource, count]) => Array.from({ length: count }, () => resource))
