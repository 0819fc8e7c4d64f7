import { mkdir, readdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { isTornWrite, writeDurable } from './durable-file.ts'

/** In every root that a plugin has served. */
export const tombstonesName = '.deleted'

/** UIDs whose deletion was asked for while there was no job, so that a create that is still under way starts none. */
export interface Tombstones {
  has(uid: string): boolean
  /** Resolves once it is durable. */
  add(uid: string): Promise<void>
  /** Forgets those that are older than the retention. */
  sweep(): Promise<void>
}

export async function openTombstones(
  root: string,
  retentionMs: number,
  now: () => number
): Promise<Tombstones> {
  const dir = join(root, tombstonesName)
  await mkdir(dir, { mode: 0o700, recursive: true })
  const added = new Map<string, number>()
  for (const uid of await readdir(dir)) {
    if (isTornWrite(uid)) await unlink(join(dir, uid))
    else added.set(uid, (await stat(join(dir, uid))).mtimeMs)
  }
  return {
    has: (uid) => added.has(uid),
    async add(uid) {
      added.set(uid, now())
      await writeDurable(join(dir, uid), '')
    },
    async sweep() {
      for (const [uid, at] of added) {
        if (now() - at <= retentionMs) continue
        added.delete(uid)
        await unlink(join(dir, uid)).catch(() => {})
      }
    }
  }
}
