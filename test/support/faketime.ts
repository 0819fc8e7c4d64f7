import { existsSync } from 'node:fs'

const library = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1'

export const faketimeMissing = (): string | undefined =>
  existsSync(library) ? undefined : 'libfaketime is missing; apt-get install libfaketime'

/**
 * The environment in which the clock of the day is that many seconds off. Without shared memory: programs that are
 * killed leave it behind, and a later one that gets the same process id fails on it.
 */
export const skewedClock = (seconds: number) => ({
  LD_PRELOAD: library,
  FAKETIME: `${seconds < 0 ? '' : '+'}${seconds}s`,
  FAKETIME_DISABLE_SHM: '1'
})
