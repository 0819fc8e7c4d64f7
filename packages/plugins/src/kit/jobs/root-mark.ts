import { randomBytes } from 'node:crypto'
import { link, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { flushDirectory, writeDurable } from './durable-file.ts'

const shape = /^interlink-[0-9a-f]{16}$/

/**
 * A name of this root that no other has, for jobs to bear: jobs of another plugin of the same account, or of a root
 * whose file system is not mounted, bear another one. Made once, and kept in the root.
 */
export async function rootMark(root: string): Promise<string> {
  const path = join(root, '.mark')
  const read = async () => (await readFile(path, 'utf8').catch(() => '')).trim()
  const before = await read()
  if (shape.test(before)) return before
  const name = randomBytes(8).toString('hex')
  const draft = `${path}.${name}`
  await writeDurable(draft, `interlink-${name}\n`, { flushDirectory: false })
  try {
    // Whoever asks at the same time gets the same: the first link holds.
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  } finally {
    await unlink(draft)
  }
  await flushDirectory(root)
  const mark = await read()
  if (!shape.test(mark))
    throw new Error(`${path} is damaged; remove it, and no job of before is known any more`)
  return mark
}
