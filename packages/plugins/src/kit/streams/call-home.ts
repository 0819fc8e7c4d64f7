/**
 * Where nobody can reach a job, the job calls the plugin (call home, RFC 8071): through NAT, with no open port at the
 * job. It calls the plugin and not the API server, of which there may be many that know nothing of jobs.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import { Readable, type Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigError } from '@interlink-ts/interlink-api/config'
import type { BackendContext, SubmittedJob } from '../backend.ts'
import { rootSecret } from '../jobs/root-mark.ts'
import type { Site } from '../sites/site.ts'
import type { JobFile } from '../supervisor/render-job.ts'
import { hubProgram, type LiveProcess } from './hub.ts'
import type { CallHomeOptions } from './call-home-options.ts'
import type { Way } from './hub-access.ts'

/** How a job is told to call, and what it has said when it could not. */
export interface Errand {
  /** Puts a private file of that text as `call` into the directory of a job, where its supervisor sees it. */
  leave(job: SubmittedJob, text: string): Promise<void>
  /** `call.log` of that directory. */
  words(job: SubmittedJob): Promise<string | undefined>
}

/** By the job directory. */
export const errandBy = (site: Pick<Site, 'write' | 'read'>): Errand => ({
  leave: ({ dir }, text) => site.write(dir, 'call', text),
  words: ({ dir }) => site.read(dir, 'call.log')
})

/** After so long without a word a connection is taken as dead, by either side. */
const silenceMs = 30_000
const beatMs = 10_000
const headersMs = 10_000
const mostConnections = 10_000
const keyFile = '.call-home'

/** Jobs that call, on a port of their own. It is opened when the first of them is told to. */
export class CallHome {
  readonly keep: boolean
  readonly #options: CallHomeOptions
  readonly #context: Pick<BackendContext, 'root' | 'log'>
  /** By UID: who waits for its call, and the token that is good for this one call. */
  readonly #awaited = new Map<string, { readonly token: string; readonly take: (socket: Duplex) => void }>()
  /** By UID: who has called and waits. */
  readonly #kept = new Map<string, { readonly socket: Duplex; release(): Duplex }>()
  #listening: Promise<{ readonly server?: Server; readonly url: URL }> | undefined

  /** @throws ConfigError naming the key below `field` */
  constructor(options: CallHomeOptions, context: Pick<BackendContext, 'root' | 'log'>, field: string) {
    const isSecure = options.listen.startsWith('https:')
    for (const key of ['certFile', 'keyFile'] as const)
      if (isSecure !== (options[key] !== undefined))
        throw new ConfigError(
          `${field}.${key}: ${isSecure ? 'is needed where listen is https' : 'is of no use where listen is http'}`,
          { field: `${field}.${key}` }
        )
    this.keep = options.keep
    this.#options = options
    this.#context = context
  }

  /** For `hubAccess`. */
  way(errand: Errand, timeoutMs: number): Way {
    return {
      name: 'call-home',
      beat: { everyMs: beatMs, silenceMs },
      open: async (job) => liveProcess(await this.#reach(job, errand, timeoutMs))
    }
  }

  /**
   * Fails where a job cannot call. Where the port is taken, by the plugin whose options these are, it will do that the
   * job is turned away there.
   */
  async check(job: SubmittedJob, errand: Errand, timeoutMs: number): Promise<void> {
    const isTaken = await this.listen().then(
      () => false,
      ({ code }: NodeJS.ErrnoException) => code === 'EADDRINUSE'
    )
    if (isTaken) this.#listening = Promise.resolve({ url: this.#url() })
    await this.#reach(job, errand, timeoutMs).then(
      (socket) => socket.destroy(),
      (error: Error) => {
        if (!isTaken || !/ answers 401 /.test(error.message)) throw error
      }
    )
  }

  /** Opens the port, where that has not been done. @returns what jobs call */
  async listen(): Promise<URL> {
    const listening = (this.#listening ??= this.#open())
    listening.catch(() => this.#listening === listening && (this.#listening = undefined))
    return (await listening).url
  }

  /** Belongs into the directory of a job that is to stay connected; see assets/streams/call.pl. */
  async keptFile(uid: string): Promise<JobFile> {
    const text = await this.#errand(uid, await this.#keptToken(uid), { keep: 1, seconds: 0 })
    return { path: 'call', mode: 0o600, text }
  }

  async close(): Promise<void> {
    const listening = this.#listening
    this.#listening = Promise.reject(new Error('the plugin is closing'))
    this.#listening.catch(() => {})
    const { server } = (await listening?.catch(() => undefined)) ?? {}
    for (const { socket } of this.#kept.values()) socket.destroy()
    server?.close()
    server?.closeAllConnections()
  }

  async #reach(job: SubmittedJob, errand: Errand, timeoutMs: number): Promise<Duplex> {
    const kept = this.#kept.get(job.uid)
    if (kept) return kept.release()
    const token = this.keep ? await this.#keptToken(job.uid) : randomBytes(32).toString('base64url')
    const over = new AbortController()
    const called = new Promise<Duplex>((take) => this.#awaited.set(job.uid, { token, take }))
    try {
      const seconds = Math.ceil(timeoutMs / 1000)
      if (this.keep) await this.listen()
      else await errand.leave(job, await this.#errand(job.uid, token, { keep: 0, seconds }))
      const late = sleep(timeoutMs, undefined, { signal: over.signal }).then(async () => {
        const words = await errand.words(job).catch(() => undefined)
        throw new Error(words?.trim().slice(-512) || `the job has not called within ${seconds} s`)
      })
      return await Promise.race([called, late])
    } finally {
      over.abort()
      this.#awaited.delete(job.uid)
    }
  }

  async #errand(uid: string, token: string, how: Readonly<Record<'keep' | 'seconds', number>>) {
    const url = await this.listen()
    const isSecure = url.protocol === 'https:'
    const { caFile } = this.#options
    const settings = {
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port || (isSecure ? 443 : 80),
      name: url.host,
      path: `${url.pathname.replace(/\/$/, '')}/${encodeURIComponent(uid)}`,
      tls: Number(isSecure),
      ...(caFile === undefined ? {} : { authorities: (await readFile(caFile)).toString('hex') }),
      token,
      silence: silenceMs / 1000,
      ...how
    }
    const lines = Object.entries(settings).map(([name, value]) => `${name} ${value}\n`)
    return `${await callProgram()}\n__DATA__\n${lines.join('')}\n${await hubProgram()}`
  }

  /** A plugin that is started again knows it. It opens nothing but the way to this one pod. */
  async #keptToken(uid: string): Promise<string> {
    const secret = await rootSecret(this.#context.root, keyFile)
    return createHmac('sha256', secret).update(uid).digest('base64url')
  }

  async #open() {
    const { listen, certFile, keyFile: key } = this.#options
    const options = { maxHeaderSize: 8192, headersTimeout: headersMs, requestTimeout: headersMs }
    const server = certFile
      ? createHttpsServer({ ...options, cert: await readFile(certFile), key: await readFile(key!) })
      : createHttpServer(options)
    server.maxConnections = mostConnections
    server.on('request', (_, reply) => reply.writeHead(426, { upgrade: protocol }).end())
    server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
      socket.on('error', () => {})
      void this.#answer(request, socket).catch((err: unknown) => {
        socket.destroy()
        this.#context.log.warn({ err }, 'a job that called could not be answered')
      })
    })
    const { hostname: address, port } = new URL(listen)
    server.listen(Number(port || (certFile ? 443 : 80)), address.replace(/^\[(.*)\]$/, '$1'))
    await once(server, 'listening')
    const url = this.#url((server.address() as AddressInfo).port)
    this.#context.log.info({ url: url.href }, 'jobs may call')
    return { server, url }
  }

  #url(port?: number): URL {
    const { listen, url: given } = this.#options
    const url = new URL(given ?? listen)
    if (given !== undefined) return url
    if (/^(0\.0\.0\.0|\[::\])$/.test(url.hostname)) url.hostname = hostname()
    if (port !== undefined) url.port = String(port)
    return url
  }

  async #answer({ url = '', headers, socket: { remoteAddress } }: IncomingMessage, socket: Duplex) {
    const uid = decodeURIComponent(/[^/]*$/.exec(url)![0])
    const token = /^Bearer ([\w-]{43})$/.exec(headers.authorization ?? '')?.[1]
    const awaited = this.#awaited.get(uid)
    const expected = this.keep ? await this.#keptToken(uid) : awaited?.token
    if (headers.upgrade !== protocol || !token || !expected || !isSame(token, expected)) {
      this.#context.log.warn({ uid, remoteAddress }, 'a call that no job was told to make is refused')
      return socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n')
    }
    if (!this.keep) this.#awaited.delete(uid)
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`)
    if (awaited) awaited.take(go(socket))
    else this.#keepWaiting(uid, socket)
  }

  /** A job that calls once more has lost its connection of before. */
  #keepWaiting(uid: string, socket: Duplex): void {
    this.#kept.get(uid)?.socket.destroy()
    const beat = setInterval(() => socket.write('\n'), beatMs).unref()
    // It has nothing to say before it is told to go on.
    const end = () => socket.destroy()
    const forget = () => {
      clearInterval(beat)
      if (this.#kept.get(uid)?.socket === socket) this.#kept.delete(uid)
    }
    socket.on('data', end).on('end', end).on('close', forget)
    const release = () => {
      forget()
      return go(socket.off('data', end).off('end', end))
    }
    this.#kept.set(uid, { socket, release })
  }
}

const protocol = 'interlink-hub'

/** The job starts hub.pl. */
function go(socket: Duplex): Duplex {
  socket.pause()
  socket.write('!')
  return socket
}

function liveProcess(socket: Duplex): LiveProcess {
  socket.once('end', () => socket.end())
  const exit = once(socket, 'close').then(() => Promise.reject<number>(new Error('the job has hung up')))
  exit.catch(() => {})
  return { stdin: socket, stdout: socket, stderr: Readable.from([]), exit, kill: () => socket.destroy() }
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}

let program: Promise<string> | undefined

const callProgram = (): Promise<string> =>
  (program ??= readFile(new URL('../../../assets/streams/call.pl', import.meta.url), 'utf8'))
