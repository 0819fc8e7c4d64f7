import { Type, type Static } from 'typebox'
import { TaintsOption } from '../kit/taints-option.ts'

const closed = { additionalProperties: false } as const

/** Where images come from that are not the server's own, by the word before the colon of an image's name. */
const Remote = Type.Object(
  {
    url: Type.String({ pattern: '^https://', description: 'such as https://images.linuxcontainers.org' }),
    protocol: Type.Union([Type.Literal('simplestreams'), Type.Literal('incus'), Type.Literal('oci')], {
      default: 'simplestreams'
    })
  },
  closed
)

/** The Incus backend's own section of the plugin configuration. */
export const IncusOptions = Type.Object(
  {
    url: Type.String({
      default: 'unix:///var/lib/incus/unix.socket',
      pattern: '^(unix:///|https://).',
      description: 'of the server: unix:///path/of/unix.socket or https://host:8443'
    }),
    tls: Type.Optional(
      Type.Object(
        {
          certFile: Type.String({ pattern: '^/', description: 'PEM; the server trusts it' }),
          keyFile: Type.String({ pattern: '^/' }),
          caFile: Type.Optional(
            Type.String({ pattern: '^/', description: 'PEM: the certificate of the server itself' })
          )
        },
        closed
      )
    ),
    project: Type.String({
      default: 'default',
      description: 'of the instances; its quotas are the offer of the node'
    }),
    profiles: Type.Array(Type.String(), { default: ['default'], description: 'of every instance' }),
    podProfiles: Type.Array(Type.String({ minLength: 1 }), {
      default: [],
      description: 'further ones that pods may choose by interlink.io/incus-profiles'
    }),
    remotes: Type.Record(Type.String({ pattern: '^[A-Za-z0-9-]+$' }), Remote, {
      default: { images: { url: 'https://images.linuxcontainers.org', protocol: 'simplestreams' } },
      description: 'images named `<remote>:<alias>`'
    }),
    nvidiaRuntime: Type.Boolean({
      default: true,
      description: "instances with an NVIDIA card get the driver's libraries by nvidia-container-cli"
    }),
    timeoutSeconds: Type.Number({
      default: 30,
      exclusiveMinimum: 0,
      description: 'for one answer of the server'
    }),
    taints: TaintsOption
  },
  closed
)
export type IncusOptions = Static<typeof IncusOptions>
