/**
 * How MIG cuts a card: NVIDIA Multi-Instance GPU User Guide, "Supported MIG Profiles", with the placements that
 * `nvidia-smi mig -lgipp` prints (`{start,…}:size`, in memory slices). What a card itself says goes first: see
 * {@link geometryOf}; the tables are for cards that are not asked.
 */
export interface MigProfile {
  /** As `nvidia-smi mig -lgip` prints it behind `MIG`. */
  readonly name: string
  /** Number of the GPU instance profile, for `nvidia-smi mig -cgi`. */
  readonly id: number
  /** Compute slices. */
  readonly compute: number
  /** Memory slices. */
  readonly size: number
  /** Memory slices at which an instance may begin. */
  readonly starts: readonly number[]
  /** The card has one set of these engines (`+me`). */
  readonly media?: true
}

export interface MigGeometry {
  readonly name: string
  readonly memorySlices: number
  readonly computeSlices: number
  readonly profiles: readonly MigProfile[]
  /** Ampere resets the card when MIG is switched; Hopper does not. */
  readonly resetsOnSwitch: boolean
}

const everyStart = [0, 1, 2, 3, 4, 5, 6]

/** Eight memory and seven compute slices; `names` are those of 1g, 1g with double memory, 2g, 3g, 4g and 7g. */
function sevenSlices(name: string, names: readonly string[], resetsOnSwitch: boolean): MigGeometry {
  const [one, double, two, three, four, seven] = names as [string, string, string, string, string, string]
  return {
    name,
    memorySlices: 8,
    computeSlices: 7,
    resetsOnSwitch,
    profiles: [
      { name: one, id: 19, compute: 1, size: 1, starts: everyStart },
      { name: `${one}+me`, id: 20, compute: 1, size: 1, starts: everyStart, media: true },
      { name: double, id: 15, compute: 1, size: 2, starts: [0, 2, 4, 6] },
      { name: two, id: 14, compute: 2, size: 2, starts: [0, 2, 4] },
      { name: three, id: 9, compute: 3, size: 4, starts: [0, 4] },
      { name: four, id: 5, compute: 4, size: 4, starts: [0] },
      { name: seven, id: 0, compute: 7, size: 8, starts: [0] }
    ]
  }
}

const geometries: readonly MigGeometry[] = [
  sevenSlices('a100-40gb', ['1g.5gb', '1g.10gb', '2g.10gb', '3g.20gb', '4g.20gb', '7g.40gb'], true),
  sevenSlices('a100-80gb', ['1g.10gb', '1g.20gb', '2g.20gb', '3g.40gb', '4g.40gb', '7g.80gb'], true),
  sevenSlices('h100-80gb', ['1g.10gb', '1g.20gb', '2g.20gb', '3g.40gb', '4g.40gb', '7g.80gb'], false),
  sevenSlices('h200-141gb', ['1g.18gb', '1g.35gb', '2g.35gb', '3g.71gb', '4g.71gb', '7g.141gb'], false),
  {
    name: 'a30-24gb',
    memorySlices: 4,
    computeSlices: 4,
    resetsOnSwitch: true,
    profiles: [
      { name: '1g.6gb', id: 14, compute: 1, size: 1, starts: [0, 1, 2, 3] },
      { name: '1g.6gb+me', id: 21, compute: 1, size: 1, starts: [0, 1, 2, 3], media: true },
      { name: '2g.12gb', id: 5, compute: 2, size: 2, starts: [0, 2] },
      { name: '2g.12gb+me', id: 6, compute: 2, size: 2, starts: [0, 2], media: true },
      { name: '4g.24gb', id: 0, compute: 4, size: 4, starts: [0] }
    ]
  }
]

/** By name. */
export const migGeometries: ReadonlyMap<string, MigGeometry> = new Map(
  geometries.map((geometry) => [geometry.name, geometry])
)

/** The PCI device ids of vendor 10de, pci.ids. */
const byDeviceId: Readonly<Record<string, string>> = {
  '20b0': 'a100-40gb',
  '20b1': 'a100-40gb',
  '20f1': 'a100-40gb',
  '20f6': 'a100-40gb',
  '20b2': 'a100-80gb',
  '20b5': 'a100-80gb',
  '20f3': 'a100-80gb',
  '20f5': 'a100-80gb',
  '20b7': 'a30-24gb',
  '2330': 'h100-80gb',
  '2324': 'h100-80gb',
  '2331': 'h100-80gb',
  '2322': 'h100-80gb',
  '2335': 'h200-141gb',
  '233b': 'h200-141gb'
}

const byModel: readonly (readonly [model: RegExp, leastMiB: number, name: string])[] = [
  [/\bA100\b.*80GB/i, 0, 'a100-80gb'],
  [/\bA100\b/i, 60_000, 'a100-80gb'],
  [/\bA100\b/i, 0, 'a100-40gb'],
  [/\bA30\b/i, 0, 'a30-24gb'],
  [/\bH200\b/i, 0, 'h200-141gb'],
  // The 94 and 96 GB cards of the family have profiles of other names.
  [/\bH100\b(?!.*(NVL|9\dGB))/i, 0, 'h100-80gb']
]

/** The table of a card by its PCI device id (four hexadecimal digits) or else its product name. */
export function geometryOf(card: {
  readonly deviceId?: string
  readonly model: string
  readonly memoryMiB?: number
}): MigGeometry | undefined {
  const { deviceId = '', model, memoryMiB = 0 } = card
  const name =
    byDeviceId[deviceId.toLowerCase()] ??
    byModel.find(([pattern, least]) => pattern.test(model) && memoryMiB >= least)?.[2]
  return name === undefined ? undefined : migGeometries.get(name)
}

/** Extended resource names have no `+`; the device plugin of NVIDIA puts a dot in its place. */
export const migResource = (profile: string): string => `mig-${profile.replaceAll('+', '.')}`
