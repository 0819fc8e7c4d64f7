import { Type } from 'typebox'

/** What a backend's own section says of its node's taints. */
export const TaintsOption = Type.Optional(
  Type.Array(
    Type.Object(
      { key: Type.String(), value: Type.Optional(Type.String()), effect: Type.String() },
      { additionalProperties: false }
    ),
    { description: 'taints of the node; [] clears them' }
  )
)
