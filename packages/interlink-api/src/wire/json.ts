import { InterlinkError } from '../errors.ts'

/**
 * `JSON.parse` without its message, which quotes the text: a body may hold secrets.
 * @throws InterlinkError `IL_MALFORMED_JSON`, with the position where the engine tells it.
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const position = /at position (\d+)/.exec((error as Error).message)?.[1]
    const reason =
      text === '' ? 'it is empty' : position ? `syntax error at position ${position}` : 'syntax error'
    throw new InterlinkError('IL_MALFORMED_JSON', { reason })
  }
}
