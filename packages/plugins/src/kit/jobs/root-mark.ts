import { randomBytes } from 'node:crypto'
import { link, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { flushDirectory, writeDurable } from './durable-file.ts'

/**
 * A name of this root that no other has, for jobs to bear: jobs of another plugin of the same account, or of a root
 * whose file system is not mounted, bear another one. Made once, and kept in the root.
 */
export const rootMark = (root: string): Promise<string> =>
  madeOnce(
    root,
    '.mark',
    /^interlink-[0-9a-f]{16}$/,
    () => `interlink-${randomBytes(8).toString('hex')}`,
    'no job of before is known any more'
  )

/** What only this root knows, in hexadecimal. Made once, and kept in the root. */
export const rootSecret = (root: string, name: string): Promise<string> =>
  madeOnce(
    root,
    name,
    /^[0-9a-f]{64}$/,
    () => randomBytes(32).toString('hex'),
    'jobs of before no longer call'
  )

async function madeOnce(
  root: string,
  name: string,
  shape: RegExp,
  make: () => string,
  loss: string
): Promise<string> {
  const path = join(root, name)
  const read = async () => (await readFile(path, 'utf8').catch(() => '')).trim()
  const before = await read()
  if (shape.test(before)) return before
  const draft = `${path}.${randomBytes(8).toString('hex')}`
  await writeDurable(draft, `${make()}\n`, { flushDirectory: false })
  try {
    // Whoever asks at the same time gets the same: the first link holds.
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  } finally {
    await unlink(draft)
  }
  await flushDirectory(root)
  const kept = await read()
  if (!shape.test(kept)) throw new Error(`${path} is damaged; remove it, and ${loss}`)
  return kept
}
