import type { Clock } from '../../src/kube/clock.ts'

/** Time that stands still until it is turned; what falls due on the way is called in order. */
export function turnedClock(start = Date.parse('2026-01-01T00:00:00Z')) {
  let now = start
  let due: { at: number; callback: () => void }[] = []
  const clock: Clock = {
    now: () => now,
    schedule(ms, callback) {
      const entry = { at: now + Math.max(0, ms), callback }
      due.push(entry)
      return () => {
        due = due.filter((one) => one !== entry)
      }
    }
  }
  /** Lets promises settle between what falls due, so that what they schedule is seen. */
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve))
  return {
    clock,
    settle,
    get scheduled() {
      return due.length
    },
    async turn(ms: number) {
      const end = now + ms
      await settle()
      for (;;) {
        const next = due.filter((one) => one.at <= end).sort((a, b) => a.at - b.at)[0]
        if (!next) break
        due = due.filter((one) => one !== next)
        now = Math.max(now, next.at)
        next.callback()
        await settle()
      }
      now = end
    }
  }
}
