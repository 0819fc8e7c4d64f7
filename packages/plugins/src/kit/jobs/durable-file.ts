import { randomBytes } from 'node:crypto'
import { open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Writes a file so that readers see all of it or none, and that it is there after a power cut once this resolves.
 * With `flushDirectory: false` the name itself is made durable by a later {@link flushDirectory} of its directory.
 */
export async function writeDurable(
  path: string,
  content: string,
  options: { readonly mode?: number; readonly flushDirectory?: boolean } = {}
): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`
  const handle = await open(temporary, 'wx', options.mode ?? 0o600)
  try {
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => {})
    throw error
  }
  if (options.flushDirectory ?? true) await flushDirectory(dirname(path))
}

/** Whether a file is what a write that was interrupted has left. */
export const isTornWrite = (name: string): boolean => /\.[0-9a-f]{8}\.tmp$/.test(name)

/** Makes the names in a directory durable. */
export async function flushDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A JSON file, or undefined where there is none. */
export async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return text === undefined ? undefined : (JSON.parse(text) as unknown)
}

/** Whether there is anything of that name that can be seen. */
export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false
  )
