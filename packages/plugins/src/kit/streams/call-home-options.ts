import { Type, type Static } from 'typebox'

/** Where jobs call the plugin that nobody else can reach. */
export const CallHomeOptions = Type.Object(
  {
    listen: Type.String({
      pattern: '^https?://[^/]+$',
      description: 'http://ADDRESS:PORT or https://ADDRESS:PORT where jobs call the plugin, and nobody else'
    }),
    url: Type.Optional(
      Type.String({
        pattern: '^https?://',
        description:
          'what a job calls; default: listen, with the name of this machine where that is every address'
      })
    ),
    certFile: Type.Optional(Type.String({ pattern: '^/', description: 'of listen with https, PEM' })),
    keyFile: Type.Optional(Type.String({ pattern: '^/', description: 'of listen with https, PEM' })),
    caFile: Type.Optional(
      Type.String({
        pattern: '^/',
        description: 'authorities that jobs trust, PEM; default: those of the machine they run on'
      })
    ),
    keep: Type.Boolean({
      default: false,
      description:
        'every job calls when it begins and stays connected, for sites where nothing can be told to a job later'
    })
  },
  { additionalProperties: false }
)
export type CallHomeOptions = Static<typeof CallHomeOptions>
