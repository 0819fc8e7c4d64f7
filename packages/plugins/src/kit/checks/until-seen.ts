import { setTimeout as delay } from 'node:timers/promises'

const everyMs = 200

/** The first answer that will do, or the last one when the time is over. */
export async function untilSeen<T>(
  ask: () => Promise<T>,
  holds: (answer: T) => boolean,
  patienceMs: number
): Promise<T> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const answer = await ask()
    if (holds(answer) || performance.now() > deadline) return answer
    await delay(everyMs)
  }
}
