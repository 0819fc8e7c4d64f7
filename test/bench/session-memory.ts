/** Proportional memory of processes, in MB (10^6 bytes); see proc_pid_smaps(5). */
import { readdir, readFile } from 'node:fs/promises'

interface Found {
  readonly pid: number
  readonly command: string
  readonly parents: readonly number[]
}

/** Of the plugin and what it has started, and of what runs in the job but the commands. */
export async function memoryOfSessions(plugin: number): Promise<{ here: number; there: number }> {
  const all = await processes()
  const here = all.filter(({ pid, parents }) => pid === plugin || parents.includes(plugin))
  const inJob = all.filter(({ command }) => /hub\.pl|session\.pl/.test(command) && !/^srun/.test(command))
  const sum = async (some: readonly Found[]) =>
    (await Promise.all(some.map(({ pid }) => pssOf(pid)))).reduce((a, b) => a + b, 0)
  return {
    here: await sum(here),
    there: await sum(inJob.filter(({ pid }) => !here.some((one) => one.pid === pid)))
  }
}

/** How many processes have this command line. */
export const countRunning = async (wanted: string): Promise<number> =>
  (await processes()).filter(({ command }) => command === wanted).length

async function processes(): Promise<Found[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const parent = new Map<number, number>()
  const found = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
      parent.set(pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      return { pid, command: command.replace(/\0$/, '').replaceAll('\0', ' ') }
    })
  )
  const parentsOf = (pid: number): number[] => {
    const up = parent.get(pid)
    return up ? [up, ...parentsOf(up)] : []
  }
  return found.map((one) => ({ ...one, parents: parentsOf(one.pid) }))
}

const pssOf = async (pid: number): Promise<number> => {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
  return ((Number(/^Pss:\s+(\d+)/m.exec(text)?.[1]) || 0) * 1024) / 1e6
}
