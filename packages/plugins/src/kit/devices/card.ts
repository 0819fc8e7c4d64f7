import { Type, type Static } from 'typebox'

const closed = { additionalProperties: false } as const
const pci = Type.String({
  pattern: '^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]$',
  'x-expected': 'a PCI address such as 0000:3b:00.0, in lower case'
})
const device = Type.String({ pattern: '^/dev/[^:,]+$', 'x-expected': 'the path of a device node below /dev' })

/** More would not fit the bits of a number; SR-IOV cards and MPS servers of the field have fewer. */
const slots = (description: string) => Type.Integer({ minimum: 1, maximum: 31, description })

const WholeSharing = Type.Object(
  {
    type: Type.Literal('whole'),
    geometry: Type.Optional(
      Type.String({ description: 'of a card that can be cut by MIG once nobody uses it, such as h200-141gb' })
    )
  },
  closed
)

const MigInstance = Type.Object(
  {
    profile: Type.String({ description: 'as nvidia-smi mig -lgip names it, such as 1g.18gb' }),
    start: Type.Integer({ minimum: 0, maximum: 7, description: 'first memory slice' }),
    uuid: Type.Optional(Type.String({ pattern: '^MIG-', description: 'of its compute instance' }))
  },
  closed
)
export type MigInstance = Static<typeof MigInstance>

const MigSharing = Type.Object(
  {
    type: Type.Literal('mig'),
    geometry: Type.String({ description: 'such as a100-40gb; see migGeometries' }),
    instances: Type.Optional(
      Type.Array(MigInstance, {
        description: 'those that are there and stay; without them, instances are made as they are asked for'
      })
    )
  },
  closed
)

const MdevSharing = Type.Object(
  {
    type: Type.Literal('mdev'),
    profile: Type.String({ minLength: 1, description: 'name of the vGPU type, such as GRID T4-1Q' }),
    typeId: Type.String({ pattern: '^[\\w.-]+$', description: 'its folder in mdev_supported_types' }),
    count: slots('how many of them the card takes')
  },
  closed
)

const SriovSharing = Type.Object(
  {
    type: Type.Literal('sriov'),
    functions: Type.Array(pci, { minItems: 1, maxItems: 31, description: 'the virtual functions' })
  },
  closed
)

const TimesliceSharing = Type.Object(
  {
    type: Type.Literal('timeslice'),
    replicas: slots('how many may use the card at the same time'),
    memoryMiB: Type.Optional(
      Type.Integer({ minimum: 1, description: 'cap of each one; kept by MPS, so it needs mps' })
    ),
    mps: Type.Optional(
      Type.Object(
        {
          pipeDirectory: Type.String({
            pattern: '^/',
            'x-expected': 'an absolute path',
            description: 'CUDA_MPS_PIPE_DIRECTORY of the server'
          }),
          activeThreadPercentage: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 }))
        },
        closed
      )
    )
  },
  closed
)

const FpgaSharing = Type.Object(
  {
    type: Type.Literal('fpga'),
    shell: Type.String({ minLength: 1, description: 'VBNV, such as xilinx_u55c_gen3x16_xdma_base_3' }),
    management: Type.Optional(pci),
    user: Type.Optional(pci),
    renderNode: Type.Optional(device),
    xrt: Type.Optional(Type.String({ description: 'version of the driver' })),
    accelerators: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        minItems: 1,
        maxItems: 31,
        description:
          'kernels of the loaded xclbin that may be used side by side; without them, the card is one'
      })
    )
  },
  closed
)

/** How a card is shared, told apart by `type`. */
export const Sharing = Type.Union([
  WholeSharing,
  MigSharing,
  MdevSharing,
  SriovSharing,
  TimesliceSharing,
  FpgaSharing
])
export type Sharing = Static<typeof Sharing>
export type SharingOf<Kind extends Sharing['type']> = Extract<Sharing, { type: Kind }>

/** By the word of `type`, so that an error is about the one that was meant. */
export const sharingTypes = {
  whole: WholeSharing,
  mig: MigSharing,
  mdev: MdevSharing,
  sriov: SriovSharing,
  timeslice: TimesliceSharing,
  fpga: FpgaSharing
} as const

/** A card that can be lent, whole or in parts. */
export const Card = Type.Object(
  {
    id: Type.String({
      pattern: '^[\\w.:@/-]+$',
      'x-expected': 'letters, digits and . _ : @ / -',
      description: 'what stays the same over reboots: the UUID of a GPU, the serial number of an FPGA'
    }),
    host: Type.String({ minLength: 1, default: 'local', description: 'the machine or remote it is in' }),
    vendor: Type.String({ default: 'nvidia.com', description: 'the domain of its resource names' }),
    model: Type.String({ minLength: 1, description: 'such as NVIDIA A100-SXM4-40GB' }),
    pci: Type.Optional(pci),
    numa: Type.Optional(Type.Integer({ minimum: 0 })),
    uuid: Type.Optional(Type.String({ minLength: 1 })),
    serial: Type.Optional(Type.String({ minLength: 1 })),
    memoryMiB: Type.Optional(Type.Integer({ minimum: 1 })),
    owner: Type.Optional(
      Type.String({ minLength: 1, description: 'project that has bought it; others only borrow' })
    ),
    labels: Type.Record(Type.String(), Type.String(), { default: {} }),
    paths: Type.Array(device, { default: [], description: 'nodes below /dev that a user of it needs' }),
    sharing: Type.Object(
      { type: Type.Union(Object.keys(sharingTypes).map((type) => Type.Literal(type))) },
      { default: { type: 'whole' } }
    )
  },
  closed
)
export type Card = Omit<Static<typeof Card>, 'sharing'> & { readonly sharing: Sharing }
