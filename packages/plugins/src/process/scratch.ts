import { createHash } from 'node:crypto'
import { lstat, mkdir, rm, rmdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Job, SubmittedJob } from '../kit/backend.ts'

const memory = '/dev/shm'

/** Where the emptyDirs in memory of a job are; named after its directory, so that two roots do not meet. */
const scratchOf = (dir: string): string =>
  join(
    memory,
    `interlink-${process.getuid!()}-${createHash('sha256').update(dir).digest('hex').slice(0, 20)}`
  )

/** Puts emptyDirs in memory on the machine's shared-memory file system, in the place of their directories. */
export async function prepareScratch({ plan, dir }: Job): Promise<void> {
  const volumes = plan.volumes.filter((volume) => volume.kind === 'emptyDir' && volume.memory)
  if (volumes.length === 0) return
  const scratch = scratchOf(dir)
  await mkdir(scratch, { recursive: true, mode: 0o700 })
  const { uid } = await lstat(scratch)
  if (uid !== process.getuid!()) throw new Error(`${scratch} belongs to uid ${uid}`)
  for (const { name } of volumes) {
    const target = join(scratch, name)
    const place = join(dir, 'volumes', name)
    await mkdir(target, { recursive: true, mode: 0o700 })
    if ((await lstat(place)).isSymbolicLink()) continue
    await rmdir(place)
    await symlink(target, place)
  }
}

export const removeScratch = ({ dir }: SubmittedJob): Promise<void> =>
  rm(scratchOf(dir), { recursive: true, force: true })
