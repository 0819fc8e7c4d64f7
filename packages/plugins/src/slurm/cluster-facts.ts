/** What sinfo(1) says of nodes and partitions, parsed. Pure. */

export interface NodeFacts {
  readonly name: string
  readonly state: string
  /** Some partition of it takes jobs. */
  readonly open: boolean
  readonly cpus: number
  readonly idleCpus: number
  readonly memoryMiB: number
  readonly allocatedMiB: number
  /** `gpu:a100` to count. */
  readonly gres: Readonly<Record<string, number>>
  readonly usedGres: Readonly<Record<string, number>>
}

export interface PartitionFacts {
  readonly name: string
  readonly default: boolean
  /** It takes jobs. */
  readonly open: boolean
  /** Absent: without a limit. */
  readonly maxSeconds?: number
  readonly nodes: number
}

export interface ClusterFacts {
  readonly nodes: readonly NodeFacts[]
  readonly partitions: readonly PartitionFacts[]
}

const fields = [
  'NodeList',
  'Partition',
  'Available',
  'Time',
  'StateLong',
  'CPUsState',
  'Memory',
  'AllocMem',
  'Gres',
  'GresUsed'
]

export const sinfoArgv = (partitions?: string): string[] => [
  'sinfo',
  '--noheader',
  '--Node',
  ...(partitions === undefined ? [] : [`--partition=${partitions}`]),
  `--Format=${fields.map((field) => `${field}:|`).join(',')}`
]

/** Out of a line for each node of each partition, whose order is any; the default partition comes first. */
export function parseSinfo(text: string): ClusterFacts {
  const nodes = new Map<string, NodeFacts>()
  const partitions = new Map<string, PartitionFacts>()
  for (const line of text.split('\n')) {
    const [name = '', partition = '', available, time = '', state = '', cpus = '', ...rest] = line.split('|')
    const [memory = '', allocated = '', gres = '', used = ''] = rest
    const [, idle, total] = /^\d+\/(\d+)\/\d+\/(\d+)$/.exec(cpus) ?? []
    if (total === undefined) continue
    const open = available === 'up'
    const id = partition.replace(/\*$/, '')
    const maxSeconds = secondsOf(time)
    partitions.set(id, {
      name: id,
      default: id !== partition,
      open,
      nodes: (partitions.get(id)?.nodes ?? 0) + 1,
      ...(maxSeconds === undefined ? {} : { maxSeconds })
    })
    nodes.set(name, {
      name,
      state: state.toLowerCase(),
      open: open || (nodes.get(name)?.open ?? false),
      cpus: Number(total),
      idleCpus: Number(idle),
      memoryMiB: Number.parseInt(memory, 10) || 0,
      allocatedMiB: Number.parseInt(allocated, 10) || 0,
      gres: parseGres(gres),
      usedGres: parseGres(used)
    })
  }
  const sorted = [...partitions.values()].sort(
    (a, b) => Number(b.default) - Number(a.default) || a.name.localeCompare(b.name)
  )
  return { nodes: [...nodes.values()], partitions: sorted }
}

/** `1-02:03:04`, `2:03:04`, `3:04`; undefined for `infinite` and what is no time. */
export function secondsOf(text: string): number | undefined {
  const match = /^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)$/.exec(text)
  if (!match) return undefined
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((part) => Number(part ?? 0))
  return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
}

/** `gpu:a100:4(S:0-1),shard:8`, slurm.conf(5) Gres. */
export function parseGres(text: string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const part of text.replace(/\([^)]*\)/g, '').split(',')) {
    const words = part.split(':').filter((word) => word !== 'no_consume')
    const last = words.at(-1) ?? ''
    const count = /^(\d+)([KMG]?)$/.exec(last)
    const name = (count ? words.slice(0, -1) : words).join(':')
    if (name === '' || name === 'N/A') continue
    const factor = { K: 1024, M: 1024 ** 2, G: 1024 ** 3 }[count?.[2] ?? ''] ?? 1
    counts[name] = (counts[name] ?? 0) + (count ? Number(count[1]) * factor : 1)
  }
  return counts
}

/** A node whose resources can be given out, now or after what it runs. sinfo(1) NODE STATE CODES; flags such as `*` mean doubt. */
export const isUsable = ({ state, open }: NodeFacts): boolean =>
  open && /^(idle|mixed|allocated|completing|planned|reserved|blocked)[~#%$@^+-]?$/.test(state)
