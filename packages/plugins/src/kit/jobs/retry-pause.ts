const pausesMs = [1000, 2000, 4000, 8000, 15_000, 30_000] as const

/** Milliseconds until what has failed is tried again. @param turn how often it had failed before */
export const retryPauseMs = (turn: number): number => pausesMs[Math.min(turn, pausesMs.length - 1)]!
