import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

let reaper: ChildProcess | undefined

/** One watcher per test process, in a session of its own so that Ctrl-C and group kills leave it to do its work. */
function tell(line: string): void {
  if (!reaper) {
    reaper = spawn('sh', [fileURLToPath(new URL('reaper.sh', import.meta.url))], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore']
    })
    reaper.unref()
    // The pipe must not keep the event loop alive either: its end is the signal.
    ;(reaper.stdin as unknown as { unref(): void }).unref()
  }
  reaper.stdin!.write(`${line}\n`)
}

/** Starts a process in a group of its own that cannot outlive this one, even where this one is killed. */
export function spawnReaped(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {}
): ChildProcess {
  const child = spawn(command, args, { ...options, detached: true })
  if (child.pid !== undefined) {
    tell(`+${child.pid}`)
    child.once('exit', () => tell(`-${child.pid}`))
  }
  return child
}

/** Signals the whole group of a process from {@link spawnReaped}; nothing happens where it has ended. */
export function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Has `sh` run a script when this process is gone, before its directories go; nothing where the script is gone too. */
export const runAtEnd = (script: string): void => tell(`!${script}`)

export interface TemporaryDirectory {
  path: string
  remove(): Promise<void>
}

/** A new directory (0700) that goes with this process at the latest. */
export function temporaryDirectory(name = 'test'): TemporaryDirectory {
  const path = mkdtempSync(join(tmpdir(), `interlink-${name}-`))
  tell(path)
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) }
}
