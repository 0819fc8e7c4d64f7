import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import type { WebSocket } from 'ws'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { IncusUnreachable, succeeded } from './answers.ts'
import type { IncusConnection } from './incus-connection.ts'

export interface ExecRequest {
  readonly command: readonly string[]
  /** Added to the instance's own. */
  readonly environment?: Readonly<Record<string, string>>
  /** Columns and rows; absent: no terminal, standard error apart. */
  readonly terminal?: { readonly width: number; readonly height: number }
  readonly cwd?: string
}

/** A program of a running instance. Its streams are to be read, or it waits. */
export interface ExecSession {
  readonly stdin: Writable
  readonly stdout: Readable
  /** Empty with a terminal. */
  readonly stderr: Readable
  resize(width: number, height: number): void
  /** To the program itself. */
  signal(number: number): void
  /** Its exit code, as a shell has it: 128 and more for a signal. @throws IncusError where it could not be started */
  readonly exited: Promise<number>
  /** Whoever started it has gone: KILL. */
  close(): void
}

const Fds = Type.Object({ fds: Type.Record(Type.String(), Type.String()) })
const End = Type.Object({ return: Type.Integer() })
const KILL = 9
/** Of frames that nobody has read yet. */
const highWaterMark = 256 * 1024

/**
 * `/1.0/instances/<name>/exec` over WebSockets, one for each stream. An empty text frame is the end of a stream, in both
 * directions.
 */
export async function exec(
  incus: IncusConnection,
  instance: string,
  request: ExecRequest
): Promise<ExecSession> {
  const { command, environment = {}, terminal, cwd } = request
  const operation = await incus.begin(`/1.0/instances/${encodeURIComponent(instance)}/exec`, {
    command,
    environment,
    'wait-for-websocket': true,
    interactive: terminal !== undefined,
    ...(terminal ?? {}),
    ...(cwd === undefined ? {} : { cwd })
  })
  if (!Value.Check(Fds, operation.metadata))
    throw new IncusUnreachable(`${incus.server}: exec in ${instance} named no streams`)
  const { fds } = operation.metadata
  const sockets = new Map<string, WebSocket>()
  // Incus starts the program once all are connected.
  for (const [name, secret] of Object.entries(fds)) {
    const place = `/1.0/operations/${operation.id}/websocket?secret=${encodeURIComponent(secret)}`
    sockets.set(name, incus.webSocket(place))
  }
  const control = sockets.get('control')
  const [input, output, errors] = terminal ? ['0', '0', undefined] : ['0', '1', '2']
  const stdout = readable(sockets.get(output))
  const stderr = readable(errors === undefined ? undefined : sockets.get(errors))
  const stdin = writable(sockets.get(input))
  // What goes wrong with them is told by `exited`; who does not read one must not end by it.
  for (const stream of [stdin, stdout, stderr]) stream.on('error', () => {})
  const end = () => sockets.forEach((socket) => socket.terminate())
  try {
    await Promise.all([...sockets.values()].map(opened))
  } catch (error) {
    end()
    throw new IncusUnreachable(`${incus.server}: ${(error as Error).message}`, { cause: error })
  }
  const say = (order: object) => {
    if (control?.readyState === control?.OPEN) control?.send(JSON.stringify(order))
  }
  const signal = (number: number) => say({ command: 'signal', signal: number })
  const exited = incus.finished(operation).then((over) => {
    const { metadata } = succeeded(over)
    stdin.destroy()
    control?.close()
    if (!Value.Check(End, metadata)) throw new IncusUnreachable(`${incus.server}: exec ended without a word`)
    return metadata.return
  })
  exited.catch(end)
  return {
    stdin,
    stdout,
    stderr,
    resize: (width, height) =>
      say({ command: 'window-resize', args: { width: String(width), height: String(height) } }),
    signal,
    exited,
    close: () => {
      signal(KILL)
      stdin.destroy()
      stdout.destroy()
      stderr.destroy()
    }
  }
}

async function opened(socket: WebSocket): Promise<void> {
  if (socket.readyState === socket.CONNECTING) await once(socket, 'open')
}

function readable(socket: WebSocket | undefined): Readable {
  const stream = new Readable({
    highWaterMark,
    read: () => {
      if (socket?.isPaused) socket.resume()
    }
  })
  if (!socket) {
    stream.push(null)
    return stream
  }
  const end = () => {
    if (!stream.readableEnded && !stream.destroyed) stream.push(null)
  }
  let ended = false
  socket.on('message', (data, isBinary) => {
    if (ended || stream.destroyed) return
    if (!isBinary && (data as Buffer).length === 0) {
      ended = true
      end()
      // Of a terminal, Incus waits for it.
      socket.close()
    } else if (!stream.push(data)) socket.pause()
  })
  socket.on('close', () => {
    if (!ended) end()
    ended = true
  })
  socket.on('error', (error) => stream.destroy(error))
  stream.on('close', () => socket.resume())
  return stream
}

function writable(socket: WebSocket | undefined): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      // What comes after the program's end is of no use to anybody.
      if (socket?.readyState === socket?.OPEN) socket!.send(chunk, { binary: true }, () => done())
      else done()
    },
    final: (done) => {
      if (socket?.readyState === socket?.OPEN) socket!.send('', { binary: false }, () => done())
      else done()
    }
  })
}
