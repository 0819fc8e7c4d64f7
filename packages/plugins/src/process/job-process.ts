/** The processes of a job: a supervisor that leads a session of its own, named by id and start. */
import { readdir, readFile } from 'node:fs/promises'
import { statFields } from '../kit/jobs/proc.ts'

/** `PID-START-BOOT`: one process of one boot of one machine, never another. */
export interface JobProcess {
  readonly pid: number
  readonly start: string
  readonly boot: string
}

export const jobIdOf = ({ pid, start, boot }: JobProcess): string => `${pid}-${start}-${boot}`

export function parseJobId(jobId: string): JobProcess | undefined {
  const [, pid, start, boot] = /^(\d+)-(\d+)-([0-9a-f]+)$/.exec(jobId) ?? []
  return pid && start && boot ? { pid: Number(pid), start, boot } : undefined
}

/** The first digits of the boot id, random(4). */
export async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).slice(0, 8)
}

/** Whether exactly this process still runs; a zombie does not. */
export async function isAlive({ pid, start }: JobProcess): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  if (text === undefined) return false
  const fields = statFields(text)
  return fields.start === start && fields.state !== 'Z' && fields.state !== 'X'
}

/** The process that runs the job of a directory: it leads a session and was started with the directory's scripts. */
export async function findJob(dir: string, boot: string): Promise<JobProcess | undefined> {
  const started = [`${dir}/job.sh\0`, `${dir}/supervisor.sh\0run\0`]
  for (const pid of await processIds()) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (!started.some((words) => command.includes(`\0${words}`))) continue
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
    if (text === undefined) continue
    const { session, start, state } = statFields(text)
    if (session === pid && state !== 'Z') return { pid, start, boot }
  }
  return undefined
}

/** @throws what is neither "no such process" nor "not permitted" */
export function tryKill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ESRCH' || code === 'EPERM') return false
    throw error
  }
}

async function processIds(): Promise<number[]> {
  return (await readdir('/proc')).map(Number).filter((pid) => pid > 0)
}
