import { Type, type Static } from 'typebox'
import { TaintsOption } from '../kit/taints-option.ts'

const closed = { additionalProperties: false } as const

/** The process backend's own section of the plugin configuration. */
export const ProcessOptions = Type.Object(
  {
    shell: Type.String({
      default: '/bin/sh',
      pattern: '^/',
      description: 'the POSIX shell that runs the supervisor'
    }),
    images: Type.Object(
      {
        apptainer: Type.Optional(Type.String({ description: 'path of apptainer; default: from PATH' })),
        podman: Type.Optional(Type.String({ description: 'path of podman; default: from PATH' })),
        environment: Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }), Type.String(), {
          default: {},
          description: 'variables for apptainer and podman, such as APPTAINER_CACHEDIR or CONTAINERS_CONF'
        }),
        directories: Type.Array(Type.String({ pattern: '^/' }), {
          default: [],
          description: 'where unpacked images and .sif files may lie; default: anywhere this account can read'
        })
      },
      { ...closed, default: {} }
    ),
    reserved: Type.Object(
      {
        cpu: Type.Number({ default: 0, minimum: 0, description: 'cores that are not offered' }),
        memoryBytes: Type.Integer({ default: 0, minimum: 0, description: 'bytes that are not offered' })
      },
      { ...closed, default: {} }
    ),
    resources: Type.Object(
      {
        cpu: Type.Optional(Type.String({ description: 'quantity; default: the cores of this machine' })),
        memory: Type.Optional(Type.String({ description: 'quantity; default: the memory of this machine' })),
        pods: Type.Optional(Type.String({ description: 'quantity; default: left to the node' })),
        accelerators: Type.Optional(
          Type.Array(Type.Object({ resourceType: Type.String(), available: Type.String() }, closed))
        )
      },
      { ...closed, default: {}, description: 'what the node offers, instead of what the machine has' }
    ),
    taints: TaintsOption
  },
  closed
)
export type ProcessOptions = Static<typeof ProcessOptions>
