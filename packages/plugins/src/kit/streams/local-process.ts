import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import type { LiveProcess } from './hub.ts'

/**
 * A program of this machine whose pipes stay open; Ctrl-C at the plugin is not meant for it. Rejects where it cannot be
 * started.
 */
export async function localProcess(
  [file = '', ...args]: readonly string[],
  env: NodeJS.ProcessEnv
): Promise<LiveProcess> {
  const child = spawn(file, args, { cwd: '/', detached: true, env })
  const exit = new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    // What it has said is here by then.
    child.once('close', (code, by) => resolve(code ?? 128 + (by ? constants.signals[by] : 0)))
  })
  exit.catch(() => {})
  await Promise.race([once(child, 'spawn'), exit])
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exit,
    kill() {
      try {
        process.kill(-child.pid!, 'SIGKILL')
      } catch {
        // It has just ended, or runs as somebody else, whom nobody here may kill.
      }
    }
  }
}
