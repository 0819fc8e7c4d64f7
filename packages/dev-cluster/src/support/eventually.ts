import { setTimeout as delay } from 'node:timers/promises'

export interface EventuallyOptions {
  /** When to give up, in milliseconds. @default 180000 */
  deadlineMs?: number
  /** Pause between two tries, in milliseconds. @default 100 */
  everyMs?: number
  /** Errors of this class end the wait at once. */
  unless?: abstract new (...args: never[]) => Error
}

/**
 * Calls `attempt` until it neither throws nor returns a falsy value, and returns what it returned.
 * Past the deadline the last error is thrown, or one that shows `attempt`.
 */
export async function eventually<T>(
  attempt: () => T | Promise<T>,
  { deadlineMs = 180_000, everyMs = 100, unless }: EventuallyOptions = {}
): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  const deadline = performance.now() + deadlineMs
  for (;;) {
    let failure: unknown
    try {
      const value = await attempt()
      if (value) return value as Exclude<T, false | null | undefined | 0 | ''>
    } catch (error) {
      if (unless && error instanceof unless) throw error
      failure = error
    }
    if (performance.now() >= deadline) {
      throw new Error(`not within ${deadlineMs} ms: ${failure ? String(failure) : attempt.toString()}`, {
        cause: failure
      })
    }
    await delay(everyMs)
  }
}
