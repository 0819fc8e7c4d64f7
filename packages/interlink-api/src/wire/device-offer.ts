import { Type, type Static } from 'typebox'

const open = { additionalProperties: true } as const
const Quantities = Type.Record(Type.String(), Type.Object({ value: Type.String() }, open))

/** Driver of the ResourceSlices that our node writes; also the domain of the attributes that have none. */
export const deviceDriver = 'devices.interlink.io'

/**
 * The answer to `GET /devices`: every device that could be given, as resource.k8s.io/v1 describes it. What is taken is
 * not left out, as the scheduler keeps its own account; what cannot be given to anybody at the moment is.
 */
export const DeviceOffer = Type.Object(
  {
    devices: Type.Array(
      Type.Object(
        {
          /** A DNS label, of which there is one. */
          name: Type.String({ pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$' }),
          /** `{string}`, `{int}`, `{bool}` or `{version}`, by name. */
          attributes: Type.Record(Type.String(), Type.Object({}, open)),
          capacity: Type.Optional(Quantities),
          consumesCounters: Type.Optional(
            Type.Array(Type.Object({ counterSet: Type.String(), counters: Quantities }, open))
          )
        },
        open
      )
    ),
    /** What devices that exclude each other take from. */
    sharedCounters: Type.Optional(
      Type.Array(Type.Object({ name: Type.String(), counters: Quantities }, open))
    )
  },
  open
)
export type DeviceOffer = Static<typeof DeviceOffer>

/**
 * Annotation on a pod that travels (never on the API object): the names of the devices that the pod's resource claims
 * were allocated, {@link ClaimedDevices} as JSON. Whatever the pod itself says there is taken away by the node.
 */
export const claimsAnnotation = 'interlink.io/claims'

/** By the name of the claim in the pod, `spec.resourceClaims[].name`. */
export const ClaimedDevices = Type.Record(
  Type.String(),
  Type.Array(
    Type.Object(
      {
        /** Of the claim; a subrequest is named behind a slash. */
        request: Type.String(),
        device: Type.String()
      },
      open
    )
  )
)
export type ClaimedDevices = Static<typeof ClaimedDevices>
