/** Bytes to send, and how long it takes until they are there. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { InterlinkClient } from '@interlink-ts/interlink-api/client'
import { round } from './figures.ts'

const rounds = 3
const block = Buffer.alloc(64 * 1024, 'interlink')

/** 10^6 bytes per second. */
export const rate = (bytes: number, ms: number): number => round(bytes / 1e3 / ms)

export const send = (bytes: number, to: Writable): Promise<void> => pipeline(Readable.from(blocks(bytes)), to)

function* blocks(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= block.length) yield block.subarray(0, Math.min(left, block.length))
}

export async function drain(from: Readable, expected: number): Promise<void> {
  let bytes = 0
  for await (const chunk of from) bytes += (chunk as Buffer).length
  if (bytes !== expected) throw new Error(`${bytes} of ${expected} bytes came`)
}

export const timed = async (run: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  await run()
  return performance.now() - began
}

/** The shortest time of each, in ms. They take turns, as the speed of a machine changes from one minute to the next. */
export async function bestOf<Name extends string>(
  all: Readonly<Record<Name, () => Promise<unknown>>>
): Promise<Record<Name, number>> {
  const best = {} as Record<Name, number>
  for (let round = 0; round < rounds; round++)
    for (const name of Object.keys(all) as Name[])
      best[name] = Math.min(best[name] ?? Infinity, await timed(all[name]))
  return best
}

/** A program to which bytes are sent, or from which they come. */
export interface Program {
  put(bytes: number): Promise<unknown>
  get(bytes: number): Promise<unknown>
}

const take = ['sh', '-c', 'cat >/dev/null']
const give = (bytes: number) => ['head', '-c', String(bytes), '/dev/zero']

/** By an exec. */
export function ofExec(client: InterlinkClient, uid: string): Program {
  const exec = (command: string[], stdin: boolean) =>
    client.stream(uid, { kind: 'exec', container: 'main', command, stdin, tty: false })
  return {
    async put(bytes) {
      const session = await exec(take, true)
      session.output.resume()
      await Promise.all([send(bytes, session.input), session.status])
    },
    get: async (bytes) => drain((await exec(give(bytes), false)).output, bytes)
  }
}

/** By a command of this machine that starts another one somewhere, such as srun or ssh. */
export function ofCommand(
  starts: (command: string[]) => readonly string[],
  env: NodeJS.ProcessEnv = process.env
): Program {
  const start = (command: string[]) => {
    const [file, ...args] = starts(command)
    return spawn(file!, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
  }
  return {
    async put(bytes) {
      const child = start(take)
      await Promise.all([send(bytes, child.stdin), once(child, 'exit')])
    },
    async get(bytes) {
      const child = start(give(bytes))
      child.stdin.end()
      await drain(child.stdout, bytes)
    }
  }
}

export async function forward(client: InterlinkClient, uid: string, port: number, bytes: number) {
  const session = await client.stream(uid, { kind: 'portforward', port })
  session.input.end()
  await drain(session.output, bytes)
}

/** Sends so many bytes to whoever connects. */
export async function startSender(bytes: number) {
  const greet = (socket: Socket) => void send(bytes, socket).catch(() => {})
  const server = createServer({ allowHalfOpen: true }, greet).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() }
}
