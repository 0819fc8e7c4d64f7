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

const Url = (more: object) =>
  Type.String({
    pattern: '^(unix:///|https://).',
    description: 'of the server: unix:///path/of/unix.socket or https://host:8443',
    ...more
  })

const Tls = Type.Object(
  {
    certFile: Type.String({ pattern: '^/', description: 'PEM; the server trusts it' }),
    keyFile: Type.String({ pattern: '^/' }),
    caFile: Type.Optional(
      Type.String({ pattern: '^/', description: 'PEM: the certificate of the server itself' })
    )
  },
  closed
)

/** One of several servers. */
const Server = Type.Object(
  {
    url: Url({}),
    tls: Type.Optional(Tls),
    project: Type.Optional(Type.String({ description: 'default: options.project' })),
    location: Type.Optional(
      Type.String({ minLength: 1, description: 'what pods ask for by interlink.io/incus-location' })
    ),
    namespaces: Type.Optional(
      Type.Array(Type.String(), { minItems: 1, description: 'whose pods alone may go there; default: all' })
    ),
    owners: Type.Array(Type.String(), {
      default: [],
      description: 'namespaces whose pods go there first; those of others go elsewhere if they can'
    }),
    data: Type.Array(Type.String({ pattern: '^/' }), {
      default: [],
      description: 'directories that are there alone: pods with such a hostPath go there'
    })
  },
  closed
)

/** The Incus backend's own section of the plugin configuration. */
export const IncusOptions = Type.Object(
  {
    url: Url({ default: 'unix:///var/lib/incus/unix.socket' }),
    tls: Type.Optional(Tls),
    servers: Type.Record(Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' }), Server, {
      default: {},
      description: 'several by name, in the place of url and tls'
    }),
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
      default: {
        images: { url: 'https://images.linuxcontainers.org', protocol: 'simplestreams' },
        dockerhub: { url: 'https://docker.io', protocol: 'oci' }
      },
      description:
        'images named `<remote>:<alias>`, or `<registry>/<repository>:<tag>` where the protocol is oci'
    }),
    nvidiaRuntime: Type.Boolean({
      default: true,
      description: "instances with an NVIDIA card get the driver's libraries by nvidia-container-cli"
    }),
    createSeconds: Type.Number({
      default: 5,
      exclusiveMinimum: 0,
      description:
        'for which a create waits until its instance is made; then it is answered, and the pod waits, such as for an image that is fetched'
    }),
    bootSeconds: Type.Number({
      default: 600,
      exclusiveMinimum: 0,
      description:
        'until a virtual machine that was started has begun its job: its boot, its agent, its cloud-init'
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
