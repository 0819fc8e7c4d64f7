import { readdir, readFile } from 'node:fs/promises'
import { statFields } from '../jobs/proc.ts'

/** Kills a process and all below it: a client may be a script of the site, and what hangs a child of it. */
export async function killTree(pid: number): Promise<void> {
  const children = new Map<number, number[]>()
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const text = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => undefined)
    if (text === undefined) continue
    const { parent } = statFields(text)
    children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const kill = (each: number) => {
    try {
      process.kill(each, 'SIGKILL')
    } catch {
      // It has just ended, or runs as somebody else, whom nobody here may kill.
    }
    children.get(each)?.forEach(kill)
  }
  kill(pid)
}
