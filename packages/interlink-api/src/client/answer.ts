import type { IncomingMessage } from 'node:http'
import { fromBody, InterlinkError, type ErrorDetails } from '../errors.ts'
import { parseJson } from '../wire/json.ts'
import { readText } from './read-text.ts'

const maxErrorText = 2048
const maxErrorBody = 256 * 1024

/** An answer that is no 2xx, as an error. The server's words are kept, without markup and cut to 2 KiB. */
export async function errorFrom(response: IncomingMessage, server: string): Promise<InterlinkError> {
  const status = response.statusCode ?? 0
  const { text } = await readText(response, maxErrorBody).catch(() => ({ text: '' }))
  const body = summarise(text)
  const details: ErrorDetails = { server, status, body }
  const known = fromBody(tryJson(text), status, details)
  if (known) return known
  if (status === 429 || status === 503) return new InterlinkError('IL_BUSY', details)
  return new InterlinkError(status < 500 ? 'IL_REFUSED' : 'IL_FAILED', details)
}

/** Text for people: a page of HTML is reduced to its words. */
export function summarise(text: string): string {
  const plain = /^\s*<(!doctype|html|head|body)/i.test(text)
    ? text.replace(/<(script|style)[\s\S]*?<\/\1\s*>/gi, ' ').replace(/<[^>]*>/g, ' ')
    : text
  const short = plain.replace(/\s+/g, ' ').trim()
  return short.length > maxErrorText ? `${short.slice(0, maxErrorText)}…` : short
}

export function tryJson(text: string): unknown {
  try {
    return parseJson(text)
  } catch {
    return undefined
  }
}
