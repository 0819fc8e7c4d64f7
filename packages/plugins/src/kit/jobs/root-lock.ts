import { readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PluginError } from '../../errors.ts'
import { processStart } from './proc.ts'

export interface RootLock {
  release(): Promise<void>
}

/**
 * Two plugins on one root would start pods twice. The lock names a process by id and start, so that one that was
 * killed holds it no longer.
 * @throws PluginError `PLUGIN_ROOT_IN_USE`
 */
export async function lockRoot(root: string): Promise<RootLock> {
  const path = join(root, '.plugin')
  const mine = `${process.pid} ${await processStart(process.pid)}\n`
  for (;;) {
    try {
      await writeFile(path, mine, { flag: 'wx', mode: 0o600 })
      return { release: () => unlink(path).catch(() => {}) }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const text = await readFile(path, 'utf8').catch(() => '')
    const [pid, start] = text.trim().split(' ')
    if (pid && start && (await processStart(Number(pid))) === start)
      throw new PluginError('PLUGIN_ROOT_IN_USE', { root, pid })
    await unlink(path).catch(() => {})
  }
}
