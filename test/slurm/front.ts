import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SlurmLab } from '@interlink-ts/dev-cluster/slurm'

/** A program in front of one of Slurm's clients, that plugins of this process find first. */
export interface Front {
  /** When each call began, epoch ms. */
  calls(): Promise<number[]>
  /** From now on every call does this first: shell text. */
  first(text: string): Promise<void>
}

/** Counts the calls of a client, and may hold them up. Everything else is the real one's. */
export async function standInFront(lab: SlurmLab, program: string): Promise<Front> {
  const dir = join(lab.dir, 'front')
  const [log, hook] = [join(dir, `${program}.calls`), join(dir, `${program}.first`)]
  await mkdir(dir, { recursive: true, mode: 0o700 })
  await appendFile(log, '')
  await writeFile(hook, '')
  await writeFile(
    join(dir, program),
    `#!/bin/sh\ndate +%s%3N >>${log}\nPATH=${lab.env.PATH}\n. ${hook}\nexec ${program} "$@"\n`,
    { mode: 0o700 }
  )
  if (!process.env.PATH!.startsWith(dir)) process.env.PATH = `${dir}:${lab.env.PATH}`
  return {
    calls: async () => (await readFile(log, 'utf8')).trim().split('\n').filter(Boolean).map(Number),
    first: (text) => writeFile(hook, `${text}\n`)
  }
}
