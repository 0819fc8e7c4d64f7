import { Type, type Static } from 'typebox'
import { ScriptBuildConfig } from '../wire/messages.ts'

const closed = { additionalProperties: false } as const
const file = () => Type.Optional(Type.String({ minLength: 1 }))

export const PluginConfig = Type.Object(
  {
    /** Names the plugin in errors, metrics and watch cursors. */
    name: Type.String({ pattern: '^[A-Za-z0-9._-]+$', 'x-expected': 'letters, digits, ".", "_" and "-"' }),
    /** `http://host:port`, `https://…` or `unix:///path` */
    url: Type.String({
      pattern: '^(https?://[^ ]+|unix:///.+)$',
      'x-expected': 'http://host:port, https://host:port or unix:///path'
    }),
    /** `array` for plugins of protocol 0.4 and before. */
    createBody: Type.Union([Type.Literal('object'), Type.Literal('array')], { default: 'object' }),
    /** Virtual nodes it serves; absent: all. */
    nodes: Type.Optional(Type.Array(Type.String(), { minItems: 1 })),
    /** Labels a pod must have, all of them; absent: none. */
    podLabels: Type.Optional(Type.Record(Type.String(), Type.String())),
    tokenFile: file(),
    tls: Type.Optional(
      Type.Object(
        { caFile: file(), certFile: file(), keyFile: file(), insecure: Type.Optional(Type.Boolean()) },
        closed
      )
    )
  },
  closed
)
export type PluginConfig = Static<typeof PluginConfig>

export const OidcConfig = Type.Object(
  {
    issuer: Type.String({ minLength: 1 }),
    audience: Type.String({ minLength: 1 }),
    /** Claims that must have this value, or have it among theirs where they are lists. */
    claims: Type.Optional(Type.Record(Type.String(), Type.String())),
    /** One of these must be among the groups. */
    groups: Type.Optional(Type.Array(Type.String(), { minItems: 1 })),
    groupsClaim: Type.String({ default: 'groups' })
  },
  closed
)
export type OidcConfig = Static<typeof OidcConfig>

/** The configuration of the API server; the same keys in the file. */
export const ApiConfig = Type.Object(
  {
    /** `http://host:port`, `https://host:port` (needs `tls`) or `unix:///path`. Port 0 takes any that is free. */
    listen: Type.String({ default: 'http://127.0.0.1:3000' }),
    /** Octal mode of the unix socket. */
    socketMode: Type.String({
      default: '0600',
      pattern: '^0?[0-7]{3}$',
      'x-number': true,
      'x-expected': 'an octal mode such as 0660'
    }),
    plugins: Type.Array(PluginConfig, { minItems: 1 }),
    tls: Type.Optional(
      Type.Object(
        {
          certFile: Type.String({ minLength: 1 }),
          keyFile: Type.String({ minLength: 1 }),
          /** Clients must show a certificate of this authority. */
          clientCaFile: file()
        },
        closed
      )
    ),
    /** One that succeeds is enough; `tls.clientCaFile` is a third kind. */
    auth: Type.Optional(Type.Object({ tokenFile: file(), oidc: Type.Optional(OidcConfig) }, closed)),
    /** Serves a public address without authentication. */
    insecure: Type.Boolean({ default: false }),
    /** Bytes of a request body. */
    bodyLimit: Type.Integer({ default: 4 * 1024 * 1024, minimum: 1024 }),
    /** Until a plugin begins its answer. */
    pluginTimeoutSeconds: Type.Number({ default: 60, exclusiveMinimum: 0 }),
    /** Single-pod status calls at once, to a plugin that cannot answer for several. */
    statusConcurrency: Type.Integer({ default: 8, minimum: 1 }),
    /** Handed to plugins and to the job script builder as `jobConfig`. */
    jobScriptBuild: Type.Optional(ScriptBuildConfig),
    /** A file: a template of Go's text/template that makes a script of each pod whose node names no builder. */
    jobScriptTemplate: file(),
    /** From the reference's file: what it says of logging. The command's own option comes first. */
    logLevel: Type.Optional(Type.String())
  },
  closed
)
export type ApiConfig = Static<typeof ApiConfig>

/** What must be given; the rest has defaults. */
export interface ApiConfigInput extends Partial<Omit<ApiConfig, 'plugins'>> {
  readonly plugins: readonly (Pick<PluginConfig, 'name' | 'url'> & Partial<PluginConfig>)[]
}
