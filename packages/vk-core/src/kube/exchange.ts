import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'

export interface Answer {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/**
 * One call whose answer is wanted whole. undici's own `request` makes a stream of every answer; for thousands of
 * small ones that is a third of their cost. Source: undici, docs/api/Dispatcher.md.
 */
export function exchange(
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  signal: AbortSignal | undefined
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const chunks: Buffer[] = []
    let statusCode = 0
    let headers: IncomingHttpHeaders = {}
    let started: Dispatcher.DispatchController | undefined
    // It may still wait for a connection: then it is ended when it gets one.
    const abort = () => {
      const reason = signal!.reason as Error
      started?.abort(reason)
      reject(reason)
    }
    const settled = () => signal?.removeEventListener('abort', abort)
    signal?.addEventListener('abort', abort, { once: true })
    dispatcher.dispatch(options, {
      onRequestStart(controller) {
        started = controller
        if (signal?.aborted) controller.abort(signal.reason as Error)
      },
      onResponseStart(_controller, status, received) {
        statusCode = status
        headers = received
      },
      onResponseData(_controller, chunk) {
        chunks.push(chunk)
      },
      onResponseEnd() {
        settled()
        const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
        resolve({ statusCode, headers, text: body.toString('utf8') })
      },
      onResponseError(_controller, error) {
        settled()
        reject(error)
      }
    })
  })
}
