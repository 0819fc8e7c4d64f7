import { InterlinkError } from '@interlink-ts/interlink-api/errors'

/** An error whose message is for the person at the terminal: what is wrong, and how to mend it. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** One line for the terminal; the stack only where somebody asked for it by INTERLINK_DEBUG=1. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (process.env.INTERLINK_DEBUG) return error.stack ?? error.message
  if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE')
    return `${error.message}; end what listens there, or give another port`
  // messages of our own tables are whole sentences
  const whole = error instanceof InterlinkError || error instanceof UsageError
  const cause = !whole && error.cause instanceof Error && !error.message.includes(error.cause.message)
  return cause ? `${error.message}: ${(error.cause as Error).message}` : error.message
}
