import type { Transport } from './transport.ts'
import { wordsOf } from './words.ts'

/**
 * Holds a lock file while the command runs, or waits until nobody does: a submission that is still under way after
 * its plugin was killed is waited for, flock(1).
 */
export const lockedArgv = (file: string, argv: readonly string[]): string[] => ['flock', file, ...argv]

/** Resolves when nobody holds this lock file any more, be it a plugin that is gone. */
export async function untilUnlocked(transport: Transport, file: string, timeoutMs: number): Promise<void> {
  const { code, stderr } = await transport.run(lockedArgv(file, ['true']), { timeoutMs })
  if (code !== 0) throw new Error(wordsOf(stderr) || `flock ended with ${code ?? 'a signal'}`)
}
