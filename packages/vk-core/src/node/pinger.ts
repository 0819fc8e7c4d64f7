/** Asks a backend whether it is there. Nothing else waits for it: neither the lease nor any pod. */
import type { PingResponse } from '@interlink-ts/interlink-api/wire'
import type { PingState } from './types.ts'

export interface PingAnswer {
  /** Absent where the backend answered something that is no ping response; a 200 alone means healthy. */
  readonly response?: PingResponse
  readonly text: string
}

/** One failure among successes is asked again before the node is called not ready: a restart of the API takes a second. */
const failuresToGiveUp = 2
export const retryMs = 1_000

export function createPinger(ask: () => Promise<PingAnswer>) {
  let state: PingState = { text: '' }
  let failures = 0
  return {
    get state(): PingState {
      return state
    },
    /** Answers the milliseconds to the next ping where it should come sooner than usual. */
    async ping(): Promise<number | undefined> {
      try {
        const { response, text } = await ask()
        failures = 0
        state = { healthy: true, text, ...(response && { response }) }
        return undefined
      } catch (error) {
        failures++
        const message = error instanceof Error ? error.message : String(error)
        if (!state.healthy || failures >= failuresToGiveUp)
          state = {
            healthy: false,
            text: '',
            error: message,
            ...(state.response && { response: state.response })
          }
        return retryMs
      }
    }
  }
}
export type Pinger = ReturnType<typeof createPinger>
