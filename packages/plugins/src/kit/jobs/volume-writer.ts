import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, readlink, rename, rm, symlink, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isInnerPath } from '../plan/paths.ts'
import type { Plan, PlannedFile } from '../plan/plan.ts'

const DATA = '..data'

/**
 * Writes the files of a plan below `<dir>/volumes/<volume>/` and makes its emptyDirs. Returns each volume's
 * absolute directory on this machine; a backend may mount something else in its place, such as a directory of
 * `/dev/shm` on the machine where the job runs for an emptyDir in memory.
 *
 * Files are laid out as the kubelet does it (pkg/volume/util/atomic_writer.go): a directory per content, `..data`
 * pointing to the one in force, and a link per top-level name through `..data`. Calling it again with other
 * content changes all files of a volume at one instant; with the same content it does nothing.
 *
 * Rejects where something in the way is not a directory of its own, such as a link planted by the job.
 */
export async function writeVolumes(plan: Plan, dir: string): Promise<Map<string, string>> {
  const root = join(dir, 'volumes')
  await ensureDirectory(root)
  const places = new Map<string, string>()
  for (const volume of plan.volumes) {
    if (volume.kind === 'hostPath') {
      places.set(volume.name, volume.path)
      continue
    }
    if (!isInnerPath(volume.name) || volume.name.includes('/'))
      throw refuse(volume.name, 'is no name of a volume')
    const place = join(root, volume.name)
    await ensureDirectory(place)
    if (volume.kind === 'files') await writeFiles(volume.files, place)
    places.set(volume.name, place)
  }
  return places
}

async function writeFiles(files: readonly PlannedFile[], place: string): Promise<void> {
  const wanted = `..${contentName(files)}`
  if ((await linkTarget(join(place, DATA))) !== wanted) {
    const staging = join(place, `..tmp-${randomBytes(6).toString('hex')}`)
    await mkdir(staging, { mode: 0o700 })
    for (const file of files) await writeFile(staging, file)
    await rm(join(place, wanted), { recursive: true, force: true })
    await rename(staging, join(place, wanted))
    await swapLink(wanted, join(place, DATA))
  }
  const tops = new Set(files.map((file) => file.path.split('/')[0] ?? ''))
  for (const name of tops) {
    if ((await linkTarget(join(place, name))) !== join(DATA, name))
      await swapLink(join(DATA, name), join(place, name))
  }
  for (const name of await readdir(place)) {
    if (name !== DATA && name !== wanted && !tops.has(name)) await rm(join(place, name), { recursive: true })
  }
}

async function writeFile(staging: string, file: PlannedFile): Promise<void> {
  if (!isInnerPath(file.path)) throw refuse(file.path, 'leaves its volume')
  const path = join(staging, file.path)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const handle = await open(
    path,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o600
  )
  try {
    await handle.writeFile(Buffer.from(file.base64, 'base64'))
    // The owner runs the job and must read what a mode such as 0040 means for the group.
    await handle.chmod(file.mode | 0o400)
  } finally {
    await handle.close()
  }
}

async function swapLink(target: string, path: string): Promise<void> {
  const next = `${path}.tmp-${randomBytes(6).toString('hex')}`
  await symlink(target, next)
  try {
    await rename(next, path)
  } catch (error) {
    await unlink(next)
    throw error
  }
}

async function linkTarget(path: string): Promise<string | undefined> {
  return readlink(path).catch(() => undefined)
}

/** Makes a directory 0700, or accepts one that is there; never follows a link. */
async function ensureDirectory(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  const found = await lstat(path)
  if (!found.isDirectory()) throw refuse(path, 'is in the way and is no directory')
}

function contentName(files: readonly PlannedFile[]): string {
  const hash = createHash('sha256')
  for (const { path, mode, base64 } of files) hash.update(JSON.stringify([path, mode, base64]))
  return hash.digest('hex').slice(0, 32)
}

function refuse(what: string, why: string): Error {
  return new Error(`${what} ${why}`)
}
