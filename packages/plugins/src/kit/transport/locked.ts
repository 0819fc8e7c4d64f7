/**
 * Holds a lock file while the command runs, or waits until nobody does: a submission that is still under way after
 * its plugin was killed is waited for, flock(1).
 */
export const lockedArgv = (file: string, argv: readonly string[]): string[] => ['flock', file, ...argv]
