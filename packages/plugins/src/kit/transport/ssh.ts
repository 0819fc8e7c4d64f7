import type { Client, ClientChannel } from 'ssh2'
import { atMost, type Limiter } from './at-most.ts'
import { shellWords } from '../supervisor/quote.ts'
import type { LiveProcess } from '../streams/hub.ts'
import { nameOf, type SshOptions } from './ssh-options.ts'
import { SshProcesses } from './ssh-processes.ts'
import {
  findingIn,
  maxOutput,
  TransportError,
  type Ran,
  type RunOptions,
  type Transport
} from './transport.ts'

const backOffMs = [0, 1000, 2000, 4000, 8000, 15_000, 30_000] as const

/** The clients of a batch system are behind SSH: one connection for all commands, made anew when it breaks. */
export class SshTransport implements Transport {
  readonly where: string
  readonly #options: SshOptions
  readonly #env: Readonly<Record<string, string>>
  readonly #bin: string | undefined
  readonly #channels: Limiter
  readonly #processes: SshProcesses
  readonly #now: () => number
  #connection: Promise<Client> | undefined
  #failures = 0
  #lastError: Error | undefined
  #notBefore = 0
  #closed = false
  /** Called with the reason when the connection ends. */
  readonly #inFlight = new Set<(why: Error) => void>()

  constructor(
    options: SshOptions,
    env: Readonly<Record<string, string>>,
    bin?: string,
    now: () => number = Date.now
  ) {
    this.#options = options
    this.#env = env
    this.#bin = bin
    this.#now = now
    this.#channels = atMost(options.channels)
    this.#processes = new SshProcesses(options)
    this.where = nameOf(options)
  }

  run(argv: readonly string[], options: RunOptions): Promise<Ran> {
    const command = this.#command(argv)
    return this.#channels(async () => this.#exec(await this.#connect(), command, argv[0]!, options))
  }

  async open(argv: readonly string[]): Promise<LiveProcess> {
    if (this.#closed) throw new TransportError(`ssh ${this.where}: closed`)
    return this.#processes.open(this.#command(argv))
  }

  #command(argv: readonly string[]): string {
    const env = Object.entries(this.#env).map(([name, value]) => `${name}=${value}`)
    return shellWords(['env', ...env, ...findingIn(this.#bin), ...argv])
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#processes.close()
    const client = await this.#connection?.catch(() => undefined)
    client?.end()
  }

  #connect(): Promise<Client> {
    if (this.#connection) return this.#connection
    if (this.#closed) throw new TransportError(`ssh ${this.where}: closed`)
    if (this.#now() < this.#notBefore) throw this.#lastError!
    const connection = this.#open()
    this.#connection = connection
    connection.then(
      () => (this.#failures = 0),
      (error: Error) => {
        this.#connection = undefined
        this.#failures = Math.min(this.#failures + 1, backOffMs.length - 1)
        this.#notBefore = this.#now() + backOffMs[this.#failures]!
        this.#lastError = error
      }
    )
    return connection
  }

  async #open(): Promise<Client> {
    // The library is a tenth of a plugin's memory, and only used here.
    const { connectSsh } = await import('./ssh-connection.ts')
    return connectSsh(this.#options, (why) => {
      this.#connection = undefined
      for (const fail of [...this.#inFlight]) fail(why)
    })
  }

  #exec(client: Client, command: string, program: string, { input, timeoutMs }: RunOptions): Promise<Ran> {
    return new Promise((resolve, reject) => {
      let channel: ClientChannel | undefined
      const settle = (act: () => void) => {
        clearTimeout(timer)
        this.#inFlight.delete(fail)
        act()
      }
      const fail = (why: Error) => {
        settle(() => reject(why))
        channel?.destroy()
      }
      const timer = setTimeout(
        () =>
          fail(new TransportError(`${program} on ${this.where} did not end within ${timeoutMs / 1000} s`)),
        timeoutMs
      )
      this.#inFlight.add(fail)
      const refuse = (error: Error) =>
        fail(new TransportError(`ssh ${this.where}: ${error.message}`, { cause: error }))
      const take = (error: Error | undefined, stream: ClientChannel) => {
        if (error) return refuse(error)
        channel = stream
        const chunks: Buffer[] = []
        let bytes = 0
        let stderr = ''
        let code: number | undefined
        stream.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > maxOutput) fail(new TransportError(`${program} printed more than ${maxOutput} bytes`))
          else chunks.push(chunk)
        })
        stream.stderr
          .setEncoding('utf8')
          .on('data', (text: string) => (stderr = (stderr + text).slice(0, 65_536)))
        stream.on('error', refuse)
        let exited = false
        stream.once('exit', (status: number | null) => {
          exited = true
          code = status ?? undefined
        })
        stream.once('close', () => {
          if (!exited) return fail(new TransportError(`ssh ${this.where}: ${program} was cut off`))
          settle(() =>
            resolve({ ...(code === undefined ? {} : { code }), stdout: Buffer.concat(chunks), stderr })
          )
        })
        stream.end(input)
      }
      try {
        client.exec(command, take as Parameters<Client['exec']>[1])
      } catch (error) {
        refuse(error as Error)
      }
    })
  }
}
