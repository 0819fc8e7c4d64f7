/** Time as everything here takes it, so that tests can turn it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls back once after `ms`; returns the way to cancel. Never keeps the process alive. */
  schedule(ms: number, callback: () => void): () => void
}

/** setTimeout wraps around at 2^31 ms and fires at once. */
const longest = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  schedule(ms, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(ms, 0), longest))
    timer.unref()
    return () => clearTimeout(timer)
  }
}

/** Resolves after `ms`, or at once when the signal is aborted; never rejects. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = () => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.schedule(ms, done)
    signal.addEventListener('abort', done, { once: true })
  })
}

/** Exponential back-off with jitter: between half and all of `base * 2^failures`, at most `cap`. */
export function backoffMs(failures: number, base: number, cap: number, random: () => number = Math.random) {
  const full = Math.min(cap, base * 2 ** Math.min(failures, 30))
  return full / 2 + (full / 2) * random()
}
