import { readFile } from 'node:fs/promises'

/** When a process started, in clock ticks since boot; undefined where there is none. See proc_pid_stat(5). */
export async function processStart(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : statFields(text).start
}

/** The fields after the command's name, which may hold anything. */
export function statFields(text: string): {
  state: string
  parent: number
  session: number
  start: string
  /** CPU time of it and of those of its children that have ended. */
  cpuTicks: number
} {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return {
    state: fields[0] ?? '',
    parent: Number(fields[1]),
    session: Number(fields[3]),
    start: fields[19] ?? '',
    cpuTicks: fields.slice(11, 15).reduce((sum, time) => sum + Number(time), 0)
  }
}
