/** How commands reach the machine that the clients of a batch system are on: this one, or one behind SSH. */
import type { LiveProcess } from '../streams/hub.ts'

export interface RunOptions {
  /** All of standard input. */
  readonly input?: string | Buffer
  /** After which the command is given up. */
  readonly timeoutMs: number
}

export interface Ran {
  /** Where a signal ended it: absent, or 128 and its number. */
  readonly code?: number
  readonly stdout: Buffer
  readonly stderr: string
}

export interface Transport {
  /** For messages: `this machine`, `user@host`. */
  readonly where: string
  /**
   * Runs a command to its end, whatever its exit code; arguments reach it as they are.
   * @throws TransportError where it could not be run, or did not end in time
   */
  run(argv: readonly string[], options: RunOptions): Promise<Ran>
  /**
   * Starts a command whose pipes stay open; arguments reach it as they are.
   * @throws TransportError where it could not be started
   */
  open(argv: readonly string[]): Promise<LiveProcess>
  close(): Promise<void>
}

/** What a command begins with, so that it finds programs in `bin` first; and so do the jobs that it submits. */
export const findingIn = (bin: string | undefined): readonly string[] =>
  bin === undefined ? [] : ['sh', '-c', 'PATH=$0:$PATH exec "$@"', bin]

/** The command may or may not have been run. */
export class TransportError extends Error {}

/** Bytes of standard output that are taken; more is an error, as nothing that is asked answers with as much. */
export const maxOutput = 64 * 1024 * 1024
