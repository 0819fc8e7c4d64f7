import type { WatchEvent } from '../wire/messages.ts'

/** Opens the watch of one plugin. */
export type OpenSource = (
  name: string,
  cursor: string | undefined,
  signal: AbortSignal
) => AsyncIterable<WatchEvent>

type Cursors = Readonly<Record<string, string>>

/**
 * One watch over the plugins of a node. Its cursor is made of theirs. A reset of one resets all: whoever reads it has
 * one list to forget and one to learn. The first bookmark is held back until every plugin has caught up.
 * Ends when one of them ends; throws what one of them throws.
 */
export async function* mergeWatch(
  names: readonly string[],
  open: OpenSource,
  cursor: string | undefined
): AsyncGenerator<WatchEvent, void, undefined> {
  let resume = cursor === undefined ? undefined : readCursor(cursor, names)
  for (;;) {
    const ended = yield* once(names, open, resume)
    if (ended === 'end') return
    resume = undefined
  }
}

async function* once(
  names: readonly string[],
  open: OpenSource,
  resume: Cursors | undefined
): AsyncGenerator<WatchEvent, 'end' | 'reset', undefined> {
  const cursors: Record<string, string> = { ...resume }
  const caughtUp = new Set<string>()
  const opened = new Set<string>()
  const abort = new AbortController()
  const sources = names.map((name) => ({
    name,
    events: open(name, resume?.[name], abort.signal)[Symbol.asyncIterator]()
  }))
  type Turn = { readonly source: (typeof sources)[number]; readonly result: IteratorResult<WatchEvent> }
  const take = (source: (typeof sources)[number]): Promise<Turn> =>
    source.events.next().then((result) => ({ source, result }))
  const waiting = new Map(sources.map((source) => [source.name, take(source)]))
  try {
    if (!resume) yield { type: 'reset' }
    for (;;) {
      const { source, result } = await Promise.race(waiting.values())
      if (result.done) return 'end'
      const event = result.value
      if (event.type === 'reset') {
        if (resume || opened.has(source.name)) return 'reset'
      } else {
        cursors[source.name] = event.cursor
        if (event.type === 'bookmark') caughtUp.add(source.name)
        if (event.type !== 'bookmark' || caughtUp.size === names.length)
          yield { ...event, cursor: writeCursor(cursors) }
      }
      opened.add(source.name)
      waiting.set(source.name, take(source))
    }
  } finally {
    abort.abort()
    for (const turn of waiting.values()) turn.catch(() => undefined)
    await Promise.allSettled(sources.map((source) => source.events.return?.()))
  }
}

const writeCursor = (cursors: Cursors): string => Buffer.from(JSON.stringify(cursors)).toString('base64url')

/** Undefined for one that is not of these plugins: the watch then begins anew. */
function readCursor(text: string, names: readonly string[]): Cursors | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    if (typeof value !== 'object' || value === null) return undefined
    const cursors = value as Record<string, unknown>
    return names.every((name) => typeof cursors[name] === 'string') ? (cursors as Cursors) : undefined
  } catch {
    return undefined
  }
}
