/** Programs and connections beside a job, through one pipe to assets/streams/hub.pl, which runs there. */
import { readFile } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { PluginError } from '../../errors.ts'
import { connectionSession, longestBody, programSession, type Session } from './hub-session.ts'
import type { Started } from './job-streams.ts'

/** A program whose pipes reach here. */
export interface LiveProcess extends Started {
  /** Ends it, whatever it does; its stdin is closed before. */
  kill(): void
}

/** The hub is asked for a sign of life every `everyMs`, and given up after `silenceMs` without any. */
export interface Beat {
  readonly everyMs: number
  readonly silenceMs: number
}

const hello = Buffer.from('interlink-hub\n')
/** Of what those who start it may say before it does. */
const mostNoise = 64 * 1024
const mostWords = 4096
const headBytes = 9
/** How long the hub has to end what it has started. */
const patienceMs = 10_000

let program: Promise<string> | undefined

export const hubProgram = (): Promise<string> =>
  (program ??= readFile(new URL('../../../assets/streams/hub.pl', import.meta.url), 'utf8'))

/** What is to be started beside a job of that directory, as its machine sees it; see assets/streams/hub.pl. */
export const hubArgv = async (dir: string, perl = 'perl'): Promise<string[]> => [
  perl,
  '-e',
  await hubProgram(),
  '--',
  dir
]

export class Hub {
  readonly #process: LiveProcess
  readonly #sessions = new Map<number, Session>()
  #last = 0
  #pending: Buffer = Buffer.alloc(0)
  #isReady = false
  #words = ''
  #over: Error | undefined
  #heardAt = performance.now()
  #beat: NodeJS.Timeout | undefined
  readonly #ready: Promise<void>
  #settle!: { readonly resolve: () => void; readonly reject: (why: Error) => void }

  constructor(process: LiveProcess, beat?: Beat) {
    this.#process = process
    if (beat) this.#beat = setInterval(() => this.#feelPulse(beat), beat.everyMs).unref()
    this.#ready = new Promise((resolve, reject) => (this.#settle = { resolve, reject }))
    this.#ready.catch(() => {})
    process.stdin.on('error', () => {})
    process.stdout
      .on('data', (chunk: Buffer) => this.#hear(chunk))
      .on('error', () => {})
      .resume()
    process.stderr
      .setEncoding('utf8')
      .on('data', (text: string) => (this.#words = (this.#words + text).slice(-mostWords)))
      .on('error', () => {})
    process.exit.then(
      (code) => this.#end(new Error(this.#words.trim() || `it ended with ${code}`)),
      (error: Error) => this.#end(error)
    )
  }

  get isOver(): boolean {
    return this.#over !== undefined
  }

  get sessions(): number {
    return this.#sessions.size
  }

  /** Resolves when it serves; fails with the words of who could not start it. */
  async ready(timeoutMs: number): Promise<void> {
    const late = setTimeout(() => {
      this.#end(new Error(this.#words.trim() || `no answer within ${timeoutMs / 1000} s`))
      this.close()
    }, timeoutMs)
    await this.#ready.finally(() => clearTimeout(late))
  }

  run(argv: readonly string[], signal: AbortSignal): Promise<Started> {
    return this.#start('o', argv, signal)
  }

  command(argv: readonly string[], signal: AbortSignal): Promise<Started> {
    return this.#start('h', argv, signal)
  }

  async #start(kind: 'o' | 'h', argv: readonly string[], signal: AbortSignal): Promise<Started> {
    const { id, send } = this.#open()
    const session = programSession(send)
    this.#sessions.set(id, session)
    const leave = () => {
      this.#sessions.delete(id)
      send('x', Buffer.alloc(0))
      session.leave()
    }
    signal.addEventListener('abort', leave, { once: true })
    void session.started.exit
      .catch(() => {})
      .finally(() => {
        signal.removeEventListener('abort', leave)
        this.#sessions.delete(id)
      })
    send(kind, Buffer.from(argv.join('\0')))
    if (signal.aborted) leave()
    return session.started
  }

  /** A connection to a port of the loopback there; fails with the reason why there is none. */
  async connect(port: number, signal: AbortSignal): Promise<Duplex> {
    const { id, send } = this.#open()
    const session = connectionSession(send)
    this.#sessions.set(id, session)
    send('p', Buffer.from(String(port)))
    const leave = () => session.lose(new Error('the session was left'))
    signal.addEventListener('abort', leave, { once: true })
    try {
      const made = await session.made
      made.once('close', () => this.#sessions.delete(id))
      return made
    } catch (error) {
      this.#sessions.delete(id)
      throw error
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  /** What it has started ends. */
  close(): void {
    this.#process.stdin.end()
    const timer = setTimeout(() => this.#process.kill(), patienceMs).unref()
    void this.#process.exit.catch(() => {}).finally(() => clearTimeout(timer))
  }

  #feelPulse({ silenceMs }: Beat): void {
    if (performance.now() - this.#heardAt > silenceMs) this.#giveUp('the job has not been heard of')
    else this.#process.stdin.write(nothing)
  }

  #giveUp(reason: string): void {
    this.#end(new Error(reason))
    this.#process.kill()
  }

  #open() {
    if (this.#over) throw sessionLost(this.#over)
    const id = (this.#last = (this.#last % 0xffff_ffff) + 1)
    const send = (kind: string, body: Buffer, done?: (error?: Error | null) => void) => {
      if (this.#over) return done?.(this.#over)
      this.#process.stdin.write(frame(id, kind, body), done)
    }
    return { id, send }
  }

  /** A job may say anything: what no hub would is its end, and nothing else. */
  #hear(chunk: Buffer): void {
    if (this.#over) return
    this.#heardAt = performance.now()
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    if (!this.#isReady && !this.#findHello()) return
    let at = 0
    while (this.#pending.length - at >= headBytes) {
      const length = this.#pending.readUInt32BE(at + 5)
      const end = at + headBytes + length
      if (length > longestBody) return this.#giveUp('the job does not keep to the protocol')
      if (this.#pending.length < end) break
      const kind = String.fromCharCode(this.#pending[at + 4]!)
      const session = this.#sessions.get(this.#pending.readUInt32BE(at))
      if (session?.take(kind, this.#pending.subarray(at + headBytes, end)) === false)
        return this.#giveUp('the job does not keep to the protocol')
      at = end
    }
    this.#pending = this.#pending.subarray(at)
  }

  /** Logins and prologues of a site may say something first. */
  #findHello(): boolean {
    const at = this.#pending.indexOf(hello)
    if (at < 0) {
      this.#pending = this.#pending.subarray(-mostNoise)
      return false
    }
    this.#pending = this.#pending.subarray(at + hello.length)
    this.#isReady = true
    this.#settle.resolve()
    return true
  }

  #end(why: Error): void {
    clearInterval(this.#beat)
    this.#over ??= why
    this.#settle.reject(why)
    for (const session of this.#sessions.values()) session.lose(sessionLost(why))
    this.#sessions.clear()
  }
}

const sessionLost = (why: Error): Error =>
  new PluginError('PLUGIN_SESSION_LOST', { reason: why.message }, why)

function frame(session: number, kind: string, body: Buffer): Buffer {
  const head = Buffer.alloc(headBytes)
  head.writeUInt32BE(session)
  head.write(kind, 4, 'latin1')
  head.writeUInt32BE(body.length, 5)
  return Buffer.concat([head, body])
}

const nothing = frame(0, 'n', Buffer.alloc(0))
