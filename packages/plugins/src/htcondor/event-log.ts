/** The job event log in its text form: "Job Event Log Codes" of the HTCondor manual. Pure. */
import { addressIn, jobStatus, type CondorJob } from './states.ts'

export interface JobEvent {
  /** Number of the kind of event. */
  readonly code: number
  readonly jobId: string
  /** What stands behind the time, and the lines below. */
  readonly title: string
  readonly lines: readonly string[]
}

const header = /^(\d{3}) \((\d+)\.(\d+)\.\d+\) \S+ [\d:.+Z-]+ (.*)$/

/** All events of a text that have ended, and what is left of it. */
export function parseEvents(text: string): { readonly events: readonly JobEvent[]; readonly rest: string } {
  const events: JobEvent[] = []
  let from = 0
  for (let end = text.indexOf('\n...\n'); end >= 0; end = text.indexOf('\n...\n', from)) {
    const [first = '', ...lines] = text.slice(from, end).split('\n')
    const [, code, cluster, proc, title = ''] = header.exec(first) ?? []
    if (code !== undefined)
      events.push({
        code: Number(code),
        jobId: `${Number(cluster)}.${Number(proc)}`,
        title,
        lines: lines.map((line) => line.trim())
      })
    from = end + '\n...\n'.length
  }
  return { events, rest: text.slice(from) }
}

/** A job after an event of it. What an event does not tell of is left as it was. */
export function afterEvent(job: CondorJob, { code, title, lines }: JobEvent): CondorJob {
  switch (code) {
    case 1: {
      const host = lines.map((line) => /^SlotName: (.+)$/.exec(line)?.[1]).find(Boolean)
      const address = addressIn(title)
      return {
        ...job,
        status: jobStatus.running,
        isTransferring: false,
        starts: Math.max(1, job.starts),
        ...(host === undefined ? {} : { host }),
        ...(address === undefined ? {} : { address })
      }
    }
    // Evicted; the shadow failed; the machine was lost.
    case 4:
    case 7:
    case 24:
      return {
        ...job,
        status: jobStatus.idle,
        starts: Math.max(1, job.starts),
        ...(code === 4 ? {} : { vacateReason: [title, ...lines].filter(Boolean).join(' ').slice(0, 512) })
      }
    case 5:
      return { ...job, ...termination(lines), status: jobStatus.completed, hasLeft: true }
    case 9:
      return {
        ...job,
        status: jobStatus.removed,
        hasLeft: true,
        ...(lines[0] ? { removeReason: lines[0] } : {})
      }
    case 10:
      return { ...job, status: jobStatus.suspended }
    case 11:
      return { ...job, status: jobStatus.running }
    case 12:
      return heldBy(job, lines)
    case 13: {
      const { holdCode: _, holdSubcode: __, holdReason: ___, ...rest } = job
      return { ...rest, status: jobStatus.idle }
    }
    case 40:
      return /started transferring input/i.test(title)
        ? { ...job, status: jobStatus.running, isTransferring: true }
        : /finished transferring input/i.test(title)
          ? { ...job, isTransferring: false }
          : job
    default:
      return job
  }
}

function termination(lines: readonly string[]): Partial<CondorJob> {
  for (const line of lines) {
    const [, code] = /^\(1\) Normal termination \(return value (\d+)\)/.exec(line) ?? []
    if (code !== undefined) return { exitCode: Number(code) }
    const [, signal] = /^\(0\) Abnormal termination \(signal (\d+)\)/.exec(line) ?? []
    if (signal !== undefined) return { exitSignal: Number(signal) }
  }
  return {}
}

function heldBy(job: CondorJob, lines: readonly string[]): CondorJob {
  const codes = lines.map((line) => /^Code (\d+) Subcode (\d+)$/.exec(line)).find(Boolean)
  const reason = lines.find((line) => line !== '' && !/^Code \d+ Subcode \d+$/.test(line))
  return {
    ...job,
    status: jobStatus.held,
    ...(codes ? { holdCode: Number(codes[1]), holdSubcode: Number(codes[2]) } : {}),
    ...(reason === undefined ? {} : { holdReason: reason })
  }
}
