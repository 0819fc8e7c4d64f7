import { createHash, timingSafeEqual } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { BlockList, isIP } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { PluginError } from '../../errors.ts'
import type { Listen } from './config.ts'

/** Routes that tell nothing of pods. */
const open = new Set(['/healthz'])

/** Whether only this machine can reach the address. */
export function isLocal(listen: Listen): boolean {
  if ('socket' in listen) return true
  if (listen.host === 'localhost') return true
  const family = isIP(listen.host)
  return family !== 0 && loopback.check(listen.host, family === 6 ? 'ipv6' : 'ipv4')
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

/** Asks every call for the bearer token of a file, which is read again when it has changed. */
export function requireToken(app: FastifyInstance, tokenFile: string): void {
  let known: { readonly mtimeMs: number; readonly digest: Buffer } | undefined
  const expected = async (): Promise<Buffer> => {
    const { mtimeMs } = await stat(tokenFile)
    if (known?.mtimeMs !== mtimeMs)
      known = { mtimeMs, digest: digest((await readFile(tokenFile, 'utf8')).trim()) }
    return known.digest
  }
  app.addHook('onRequest', async (request) => {
    if (open.has(request.routeOptions.url ?? '')) return
    const [, token] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? []
    const wanted = await expected().catch((err: unknown) => {
      request.log.error({ err, tokenFile }, 'the token file cannot be read')
      return undefined
    })
    if (!token || !wanted || !timingSafeEqual(digest(token), wanted))
      throw new PluginError('PLUGIN_UNAUTHENTICATED')
  })
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
