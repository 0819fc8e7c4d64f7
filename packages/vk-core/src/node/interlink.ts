import { readFile } from 'node:fs/promises'
import { createInterlinkClient, type InterlinkClient } from '@interlink-ts/interlink-api/client'
import type { InterlinkEndpoint } from '../config.ts'
import type { PingAnswer } from './pinger.ts'

/** The client of an endpoint of the configuration; its token is read anew for each call, so that it may be rotated. */
export async function openInterlink(endpoint: InterlinkEndpoint): Promise<InterlinkClient> {
  const { url, tokenFile, tls } = endpoint
  const [ca, cert, key] = await Promise.all([tls?.caFile, tls?.certFile, tls?.keyFile].map(optionalFile))
  return createInterlinkClient({
    url,
    tls: {
      ...(ca && { ca }),
      ...(cert && { cert }),
      ...(key && { key }),
      ...(tls?.insecureSkipVerify && { insecure: true })
    },
    ...(tokenFile && { token: () => readToken(tokenFile) })
  })
}

const optionalFile = async (file: string | undefined) => (file ? readFile(file) : undefined)

/** A secret that is not there yet sends no token: the answer then says what is missing. */
const readToken = async (file: string): Promise<string | undefined> => {
  try {
    return (await readFile(file, 'utf8')).trim() || undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

const pingTimeoutMs = 5_000

/** One ping as a node; fails unless the answer is a success. */
export async function askPing(client: InterlinkClient, node: string): Promise<PingAnswer> {
  const { ok, status, body, parsed } = await client.ping({ node, timeoutMs: pingTimeoutMs })
  if (!ok) throw new Error(`the API server answered ${status}: ${body.slice(0, 500)}`)
  return { text: body, ...(parsed && { response: parsed }) }
}
