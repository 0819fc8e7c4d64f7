/** What a job elsewhere has written, as the plugin keeps it in its own job directory. */
import { open, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Bytes of a log that were taken over; 0 where there is none. */
export const mirroredBytes = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0
  )

/** Adds to a log what stands at an offset. What does not go on where the log ends is left: somebody else was faster. */
export async function appendMirrored(path: string, offset: number, bytes: Buffer): Promise<void> {
  const file = await open(path, 'a', 0o600)
  try {
    if ((await file.stat()).size === offset) await file.write(bytes)
  } finally {
    await file.close()
  }
}

/** A reader sees all of the old file or all of the new one. */
export async function replaceMirrored(path: string, bytes: Buffer): Promise<void> {
  await writeFile(`${path}.tmp`, bytes, { mode: 0o600 })
  await rename(`${path}.tmp`, path)
}

/** The address of a job that has a network of its own; {@link readJobState} tells it. */
export const writeAddress = (dir: string, podIP: string): Promise<void> =>
  replaceMirrored(join(dir, 'state/address'), Buffer.from(`ip=${podIP}\n`))
