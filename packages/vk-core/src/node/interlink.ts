import { readFile } from 'node:fs/promises'
import type { Logger } from 'pino'
import {
  createInterlinkClient,
  followTlsFiles,
  type InterlinkClient
} from '@interlink-ts/interlink-api/client'
import type { InterlinkEndpoint } from '../config.ts'
import type { PingAnswer } from './pinger.ts'

/** The client of an endpoint of the configuration. Its token and certificates are read anew, so that they may be rotated. */
export async function openInterlink(
  { url, tokenFile, tls }: InterlinkEndpoint,
  log: Logger
): Promise<InterlinkClient> {
  const client = createInterlinkClient({ url, ...(tokenFile && { token: () => readToken(tokenFile) }) })
  if (!tls) return client
  const { insecureSkipVerify: insecure, ...files } = tls
  const unfollow = await followTlsFiles(
    client,
    { ...files, ...(insecure && { insecure }) },
    'interlink.tls',
    {
      onError: (err) => log.warn({ err, url }, 'TLS files changed and cannot be used')
    }
  )
  return {
    ...client,
    async close() {
      unfollow()
      await client.close()
    }
  }
}

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
