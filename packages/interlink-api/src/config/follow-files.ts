import { stat } from 'node:fs/promises'

export interface FollowFilesOptions {
  /** Milliseconds between two looks. @default 5000 */
  readonly everyMs?: number
  /** The change is tried again at the next look. */
  readonly onError: (error: unknown) => void
}

/**
 * Calls `changed` when one of the files is another one than before. Looks instead of watching: a Secret's volume
 * changes by a link far above the file, of which no watch tells.
 * @returns ends it
 */
export async function followFiles(
  files: readonly string[],
  changed: () => Promise<void>,
  { everyMs = 5_000, onError }: FollowFilesOptions
): Promise<() => void> {
  let seen = await versionsOf(files)
  let busy = false
  const look = async () => {
    if (busy) return
    busy = true
    try {
      const found = await versionsOf(files)
      if (found === seen) return
      await changed()
      seen = found
    } catch (error) {
      onError(error)
    } finally {
      busy = false
    }
  }
  const timer = setInterval(() => void look(), everyMs).unref()
  return () => clearInterval(timer)
}

const versionsOf = async (files: readonly string[]): Promise<string> =>
  (await Promise.all(files.map(versionOf))).join()

/** Tells one content of a file from the next; empty where there is none. */
async function versionOf(file: string): Promise<string> {
  try {
    const { mtimeNs, size, ino } = await stat(file, { bigint: true })
    return `${mtimeNs}-${size}-${ino}`
  } catch {
    return ''
  }
}
