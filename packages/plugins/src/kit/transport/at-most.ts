export type Limiter = <T>(work: () => Promise<T>) => Promise<T>

/** Runs at most `count` at the same time, the others in the order they came. */
export function atMost(count: number): Limiter {
  const waiting: (() => void)[] = []
  let free = count
  return async (work) => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}
