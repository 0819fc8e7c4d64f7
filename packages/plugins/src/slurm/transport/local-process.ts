import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import type { LiveProcess } from '../../kit/streams/hub.ts'
import { TransportError } from './transport.ts'

/** A program of this machine whose pipes stay open; Ctrl-C at the plugin is not meant for it. */
export async function localProcess(
  [file = '', ...args]: readonly string[],
  env: Readonly<Record<string, string>>
): Promise<LiveProcess> {
  const child = spawn(file, args, { cwd: '/', detached: true, env: { ...process.env, ...env } })
  const exit = new Promise<number>((resolve, reject) => {
    child.once('error', (error) => reject(new TransportError(`${file}: ${error.message}`, { cause: error })))
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
