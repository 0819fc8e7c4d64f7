import { setTimeout as delay } from 'node:timers/promises'
import { IncusError } from './answers.ts'

/** Does what may be done again, after each pause, while Incus refuses it in words of which `passes` holds. */
export async function again<T>(
  pausesMs: readonly number[],
  attempt: () => Promise<T>,
  passes: (refusal: IncusError) => boolean
): Promise<T> {
  for (const pauseMs of pausesMs) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof IncusError) || !passes(error)) throw error
      await delay(pauseMs)
    }
  }
  return attempt()
}
