import { chmod, mkdir, readdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * As `mkdir -p`; what is there stays as it is. The option `recursive` of Node.js tries for ever where a file system
 * answers ENOENT to a mkdir in a directory that is there, as /proc does.
 */
export async function makeDirectories(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return
    if (code !== 'ENOENT' || (await isThere(dirname(path)))) throw error
    await makeDirectories(dirname(path), mode)
    await makeDirectories(path, mode)
  }
}

/**
 * Makes a directory that only this account can enter. One that is there is made so if it is empty or holds `mark`:
 * it would be a pity about `/tmp`.
 * @throws Error whose message says what is wrong with it
 */
export async function ownDirectory(path: string, mark: string): Promise<void> {
  await makeDirectories(path, 0o700)
  const { mode, uid } = await stat(path)
  if (uid !== process.getuid!())
    throw new Error(`belongs to uid ${uid}; expected a directory of this account`)
  if ((mode & 0o077) === 0) return
  const names = await readdir(path)
  if (names.length > 0 && !names.includes(mark))
    throw new Error('is open to others and holds what is theirs; give a directory of its own')
  await chmod(path, 0o700)
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false
  )
