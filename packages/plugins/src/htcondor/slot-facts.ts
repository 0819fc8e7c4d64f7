/** What condor_status(1) says of slots, parsed. Pure. */
import type { Queue } from './commands.ts'

/** One machine, as its slots add up. */
export interface SlotFacts {
  readonly name: string
  readonly cpus: number
  readonly freeCpus: number
  readonly memoryMiB: number
  readonly freeMemoryMiB: number
  /** Resource behind `request_`, in lower case, to count. */
  readonly extended: Readonly<Record<string, number>>
  readonly freeExtended: Readonly<Record<string, number>>
  /** DeviceName of its GPUs. */
  readonly gpuModels: readonly string[]
  readonly hasApptainer: boolean
}

/** Counts and properties of custom resources have names that are not known before: the whole ads are asked for. */
export const statusArgv = ({ pool }: Queue, slots: string | undefined): string[] => [
  'condor_status',
  ...(pool === undefined ? [] : ['-pool', pool]),
  '-json',
  '-constraint',
  // Of a partitionable slot the parts that are given out are ads of their own; it counts as a whole.
  `DynamicSlot =!= true${slots === undefined ? '' : ` && (${slots})`}`
]

type Ad = Readonly<Record<string, unknown>>

export function parseSlots(text: string): SlotFacts[] {
  if (text.trim() === '') return []
  const ads: unknown = JSON.parse(text)
  if (!Array.isArray(ads)) throw new Error('HTCondor lists its slots in a way that is not known')
  return ads.flatMap((ad: Ad) => (isUsable(ad) ? [slotOf(ad)] : []))
}

const isUsable = (ad: Ad): boolean =>
  typeof ad.Name === 'string' && ad.Offline !== true && ad.State !== 'Owner' && ad.State !== 'Drained'

function slotOf(ad: Ad): SlotFacts {
  const isWhole = ad.PartitionableSlot === true
  const isFree = isWhole || ad.State === 'Unclaimed'
  const total = (name: string) => numberOf(ad[`TotalSlot${name}`]) ?? numberOf(ad[name]) ?? 0
  const free = (name: string) => (isFree ? (numberOf(ad[name]) ?? 0) : 0)
  const usual = new Set(['cpus', 'memory', 'disk', 'swap'])
  const custom = String(ad.MachineResources ?? '')
    .split(/\s+/)
    .filter((name) => name !== '' && !usual.has(name.toLowerCase()))
  const counted = (count: (name: string) => number) =>
    Object.fromEntries(custom.map((name) => [name.toLowerCase(), count(name)]))
  return {
    name: String(ad.Name),
    cpus: total('Cpus'),
    freeCpus: free('Cpus'),
    memoryMiB: total('Memory'),
    freeMemoryMiB: free('Memory'),
    extended: counted(total),
    freeExtended: counted(free),
    gpuModels: gpuModels(ad),
    hasApptainer: ad.HasSingularity === true
  }
}

/** Properties of all GPUs of a machine, or of each: `GPUs_DeviceName`, `GPUs_GPU_1a2b = [ DeviceName = …; ]`. */
function gpuModels(ad: Ad): string[] {
  const names = Object.entries(ad).flatMap(([name, value]) => {
    if (/^(GPUs|CUDA)_?DeviceName$/i.test(name) && typeof value === 'string') return [value]
    if (!/^GPUs_GPU_/i.test(name)) return []
    if (typeof value === 'object' && value !== null)
      return Object.entries(value).flatMap(([key, model]) =>
        /^DeviceName$/i.test(key) && typeof model === 'string' ? [model] : []
      )
    return []
  })
  return [...new Set(names)].sort()
}

const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)
