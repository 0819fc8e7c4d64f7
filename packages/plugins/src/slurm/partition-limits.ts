import type { Notice } from '../kit/plan/plan.ts'
import type { Flag } from './annotations/parse-flags.ts'
import { secondsOf, type PartitionFacts } from './cluster-facts.ts'

/**
 * A job that asks for more time than its partition gives waits for ever. A time limit that stands for the deadline of
 * the pod is cut; one that is written stays, and is told of. Nothing where a partition is not known.
 */
export function limitTime(
  flags: readonly Flag[],
  isDeadline: boolean,
  partitions: readonly PartitionFacts[]
): { readonly flags: readonly Flag[]; readonly notices: readonly Notice[] } {
  const same = { flags, notices: [] }
  const time = flags.find(({ name }) => name === 'time')
  const limits = partitionsOf(flags, partitions)
  if (!time?.value || limits.length === 0) return same
  const maxSeconds = Math.max(...limits.map((limit) => limit?.maxSeconds ?? Infinity))
  const asked = requestedSeconds(time.value)
  if (asked === undefined || asked <= maxSeconds) return same
  const minutes = Math.floor(maxSeconds / 60)
  const names = limits.map((limit) => limit!.name).join(', ')
  const why = `partition ${names} gives at most ${minutes} minutes`
  if (!isDeadline)
    return {
      flags,
      notices: [{ reason: 'TimeLimitTooLong', message: `${time.written}: ${why}; the job waits for ever` }]
    }
  const value = String(minutes)
  return {
    flags: flags.map((flag) => (flag === time ? { ...time, value, written: `--time=${value}` } : flag)),
    notices: [
      {
        reason: 'TimeLimitShortened',
        message: `spec.activeDeadlineSeconds: ${why}; the job is ended by then`
      }
    ]
  }
}

function partitionsOf(
  flags: readonly Flag[],
  partitions: readonly PartitionFacts[]
): (PartitionFacts | undefined)[] {
  const asked = flags.find(({ name }) => name === 'partition')?.value
  return asked === undefined
    ? partitions.filter((partition) => partition.default)
    : asked.split(',').map((name) => partitions.find((partition) => partition.name === name))
}

/** As sbatch(1) takes it: `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours[:minutes[:seconds]]`. */
function requestedSeconds(text: string): number | undefined {
  if (/^\d+$/.test(text)) return text === '0' ? Infinity : Number(text) * 60
  if (/^infinite|unlimited$/i.test(text)) return Infinity
  const [, days, hours] = /^(\d+)-(\d+)$/.exec(text) ?? []
  if (days !== undefined) return (Number(days) * 24 + Number(hours)) * 3600
  return secondsOf(/^\d+-\d+:\d+$/.test(text) ? `${text}:00` : text)
}
