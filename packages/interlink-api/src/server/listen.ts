import { chmod, lstat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { ConfigError } from '../config/yaml.ts'

export type ListenTarget =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls: boolean }

/** Of Linux; a longer path is cut without a word. unix(7) */
const maxSocketPath = 107

/** @throws ConfigError */
export function listenTarget(listen: string): ListenTarget {
  if (listen.startsWith('unix:///')) {
    const path = listen.slice('unix://'.length)
    if (Buffer.byteLength(path) > maxSocketPath)
      throw new ConfigError(`listen: the path of a unix socket has at most ${maxSocketPath} bytes: ${path}`, {
        field: 'listen'
      })
    return { kind: 'unix', path }
  }
  const url = URL.canParse(listen) ? new URL(listen) : undefined
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw new ConfigError(
      `listen: expected http://host:port, https://host:port or unix:///absolute/path, found "${listen}"`,
      { field: 'listen' }
    )
  const tls = url.protocol === 'https:'
  const port = /:\d+\/?$/.test(listen) ? Number(/:(\d+)\/?$/.exec(listen)![1]) : tls ? 443 : 80
  return { kind: 'tcp', host: url.hostname.replace(/^\[|\]$/g, ''), port, tls }
}

/** Only processes of this machine reach it. */
export const isLocal = (target: ListenTarget): boolean =>
  target.kind === 'unix' ||
  target.host === 'localhost' ||
  target.host === '::1' ||
  /^127(\.\d+){3}$/.test(target.host)

/** Listens and returns the URL by which the server is reached. */
export async function listen(
  app: FastifyInstance,
  target: ListenTarget,
  socketMode: number
): Promise<string> {
  if (target.kind === 'unix') {
    await removeStaleSocket(target.path)
    await app.listen({ path: target.path })
    await chmod(target.path, socketMode)
    return `unix://${target.path}`
  }
  await app.listen({ host: target.host, port: target.port })
  const { port } = app.server.address() as AddressInfo
  const host = target.host.includes(':') ? `[${target.host}]` : target.host
  return `${target.tls ? 'https' : 'http'}://${host}:${port}`
}

/** A server that was killed leaves its socket; it is removed only if it is a socket and nobody answers on it. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (!found) return
  if (!found.isSocket()) throw new ConfigError(`listen: ${path} exists and is no socket`, { field: 'listen' })
  if (await answers(path))
    throw new ConfigError(`listen: another server answers on ${path}`, { field: 'listen' })
  await unlink(path)
}

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
  })
