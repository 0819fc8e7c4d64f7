import { appendFile, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SlurmLab } from '@interlink-ts/dev-cluster/slurm'

/** A program in front of one of Slurm's clients. */
export interface Front {
  /** For a plugin that is to find it: beside it are the others, where this machine's are not those of the lab. */
  readonly options: { readonly bin: string }
  /** When each call began, epoch ms. */
  calls(): Promise<number[]>
  /** From now on every call does this first: shell text. */
  first(text: string): Promise<void>
}

/** Counts the calls of a client, and may hold them up. Everything else is the real one's. */
export async function standInFront(lab: SlurmLab, program: string): Promise<Front> {
  const dir = join(lab.dir, 'front')
  const [log, hook] = [join(dir, `${program}.calls`), join(dir, `${program}.first`)]
  const real = lab.options.bin
  await mkdir(dir, { recursive: true, mode: 0o700 })
  for (const name of real === undefined ? [] : await readdir(real))
    await symlink(join(real!, name), join(dir, name)).catch(() => {})
  await appendFile(log, '')
  await writeFile(hook, '')
  await rm(join(dir, program), { force: true })
  await writeFile(
    join(dir, program),
    `#!/bin/sh\ndate +%s%3N >>${log}\nPATH=${lab.env.PATH}\n. ${hook}\nexec ${program} "$@"\n`,
    { mode: 0o700 }
  )
  return {
    options: { bin: dir },
    calls: async () => (await readFile(log, 'utf8')).trim().split('\n').filter(Boolean).map(Number),
    first: (text) => writeFile(hook, `${text}\n`)
  }
}
