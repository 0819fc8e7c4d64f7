import { Type, type Static } from 'typebox'
import { PolicyOptions } from './policy.ts'

/** The `devices` section of a plugin's configuration. */
export const DevicesOptions = Type.Object(
  {
    inventory: Type.String({ pattern: '^/', description: 'file with the cards that are lent' }),
    directory: Type.Optional(
      Type.String({ pattern: '^/', description: 'where the leases are kept; default: ROOT.devices' })
    ),
    policy: { ...PolicyOptions, default: {} } as typeof PolicyOptions,
    offers: Type.Union([Type.Literal('resources'), Type.Literal('claims')], {
      default: 'resources',
      description:
        'how pods ask: by extended resources, or by resource claims (DRA) of resource.k8s.io/v1; never both, as the scheduler would count them twice'
    }),
    fpgaTaint: Type.Boolean({
      default: false,
      description: 'keep pods away that do not tolerate accelerator-FPGA=MODEL:NoSchedule'
    })
  },
  {
    additionalProperties: false,
    description: 'GPUs and FPGAs that the plugin lends to pods, whole or in parts'
  }
)
export type DevicesOptions = Static<typeof DevicesOptions>
