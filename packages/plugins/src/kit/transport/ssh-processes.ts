import type { Client, ClientChannel } from 'ssh2'
import type { LiveProcess } from '../streams/hub.ts'
import { nameOf, type SshOptions } from './ssh-options.ts'
import { TransportError } from './transport.ts'

interface Shared {
  readonly client: Promise<Client>
  readonly lose: Set<(why: Error) => void>
  channels: number
}

/**
 * Programs that live on behind SSH. They have connections of their own, made when they are needed: sshd allows few
 * channels in one (MaxSessions), which is that of the commands.
 */
export class SshProcesses {
  readonly #options: SshOptions
  readonly #connections = new Set<Shared>()

  constructor(options: SshOptions) {
    this.#options = options
  }

  /** @throws TransportError */
  async open(command: string): Promise<LiveProcess> {
    const shared = [...this.#connections].find(({ channels }) => channels < this.#options.channels)
    const connection = shared ?? this.#connect()
    connection.channels++
    const leave = () => {
      if (--connection.channels > 0) return
      this.#connections.delete(connection)
      end(connection)
    }
    try {
      const channel = await begin(await connection.client, command)
      return liveProcess(channel, connection, leave)
    } catch (error) {
      leave()
      if (error instanceof TransportError) throw error
      throw new TransportError(`ssh ${nameOf(this.#options)}: ${(error as Error).message}`, { cause: error })
    }
  }

  close(): void {
    for (const connection of this.#connections) end(connection)
  }

  #connect(): Shared {
    const lose: Shared['lose'] = new Set()
    const shared: Shared = {
      lose,
      channels: 0,
      // The library is a tenth of a plugin's memory, and only used here.
      client: import('./ssh-connection.ts').then(({ connectSsh }) =>
        connectSsh(this.#options, (why) => {
          this.#connections.delete(shared)
          for (const tell of [...lose]) tell(why)
        })
      )
    }
    this.#connections.add(shared)
    return shared
  }
}

const end = ({ client }: Shared): void =>
  void client.then(
    (each) => each.end(),
    () => {}
  )

const begin = (client: Client, command: string): Promise<ClientChannel> =>
  new Promise((resolve, reject) =>
    client.exec(command, (error: Error | undefined, channel: ClientChannel) =>
      error ? reject(error) : resolve(channel)
    )
  )

function liveProcess(channel: ClientChannel, { lose }: Shared, leave: () => void): LiveProcess {
  const exit = new Promise<number>((resolve, reject) => {
    let ended: number | undefined
    lose.add(reject)
    channel.on('error', () => {})
    channel.once('exit', (code: number | null) => (ended = code ?? 255))
    channel.once('close', () => {
      lose.delete(reject)
      if (ended === undefined) reject(new TransportError('the program was cut off'))
      else resolve(ended)
    })
  })
  exit.catch(() => {})
  void exit.catch(() => {}).finally(leave)
  return { stdin: channel, stdout: channel, stderr: channel.stderr, exit, kill: () => channel.destroy() }
}
