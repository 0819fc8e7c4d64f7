import type { IncomingMessage } from 'node:http'
import { InterlinkError } from '../errors.ts'
import { decode } from '../wire/decode.ts'
import { parseJson } from '../wire/json.ts'
import type { WatchEvent } from '../wire/messages.ts'

const maxLine = 4 * 1024 * 1024

/**
 * The events of an open watch. Ends when the server ends it.
 * Silence is counted only while nothing is there to be read, so a slow consumer does not end the watch.
 * @throws InterlinkError `IL_WATCH_SILENT`, `IL_CONNECTION_LOST`, `IL_INVALID_ANSWER`, `IL_ABORTED`
 */
export async function* readWatch(
  response: IncomingMessage,
  server: string,
  silenceMs: number
): AsyncGenerator<WatchEvent, void, undefined> {
  try {
    for await (const line of lines(response, server, silenceMs)) if (line !== '') yield eventOf(line, server)
  } finally {
    response.destroy()
  }
}

async function* lines(response: IncomingMessage, server: string, silenceMs: number) {
  const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  const decoder = new TextDecoder()
  let rest = ''
  for (;;) {
    const { done, value } = await nextWithin(chunks, response, server, silenceMs)
    if (done) return
    const parts = decoder.decode(value, { stream: true }).split('\n')
    parts[0] = rest + parts[0]!
    rest = parts.pop()!
    yield* parts
    if (rest.length > maxLine)
      throw new InterlinkError('IL_INVALID_ANSWER', {
        server,
        reason: `a line of the watch is over ${maxLine} characters`
      })
  }
}

async function nextWithin(
  chunks: AsyncIterator<Buffer>,
  response: IncomingMessage,
  server: string,
  ms: number
): Promise<IteratorResult<Buffer>> {
  const timer = setTimeout(() => response.destroy(new InterlinkError('IL_WATCH_SILENT', { server, ms })), ms)
  try {
    return await chunks.next()
  } catch (error) {
    if (error instanceof InterlinkError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    throw new InterlinkError('IL_CONNECTION_LOST', { server, reason: code ?? message }, error)
  } finally {
    clearTimeout(timer)
  }
}

function eventOf(line: string, server: string): WatchEvent {
  try {
    return decode('WatchEvent', parseJson(line))
  } catch (error) {
    throw new InterlinkError('IL_INVALID_ANSWER', { server, reason: (error as Error).message }, error)
  }
}
