/** Sessions of assets/streams/hub.pl, as the plugin has them. */
import { Duplex, Readable, Writable } from 'node:stream'
import { PluginError } from '../../errors.ts'
import type { Started } from './job-streams.ts'

/** Bytes that either side sends ahead of what has been taken: many, as the way may be long. hub.pl has the same. */
const window = 1024 * 1024
/** Bytes that count as taken before anybody reads them. */
const ahead = window / 4
export const longestBody = 64 * 1024
/** Of what has been taken is told in parts of this size. */
const worthTelling = window / 8

/** A frame to the hub; `done` once it may be followed by more. */
export type Send = (kind: string, body: Buffer, done?: (error?: Error | null) => void) => void

/** One end of a session: what the hub says of it. */
export interface Session {
  /** @returns false where no hub would say that */
  take(kind: string, body: Buffer): boolean
  /** The hub is gone. */
  lose(why: Error): void
}

/** A program. `started.exit` fails where the session is lost. */
export function programSession(send: Send): Session & { readonly started: Started; leave(): void } {
  const input = inputTo(send)
  const stdin = new Writable({ write: input.write, final: input.end })
  const outputs = { 1: outputFrom(send, '1'), 2: outputFrom(send, '2') }
  let settle!: { readonly resolve: (code: number) => void; readonly reject: (why: Error) => void }
  const exit = new Promise<number>((resolve, reject) => (settle = { resolve, reject }))
  const [stdout, stderr] = [new Readable(outputs[1].source), new Readable(outputs[2].source)]
  for (const stream of [stdin, stdout, stderr]) stream.on('error', () => {})
  exit.catch(() => {})
  const lose = (why: Error) => {
    settle.reject(why)
    for (const stream of [stdin, stdout, stderr]) stream.destroy(why)
  }
  return {
    started: { stdin, stdout, stderr, exit },
    lose,
    leave: () => lose(new Error('the session was left')),
    take(kind, body) {
      if (kind === 'c') return input.grant(body)
      if (kind === '1') return outputs[1].take(stdout, body)
      if (kind === '2') return outputs[2].take(stderr, body)
      const said = words(body)
      if (kind === 'f') lose(new PluginError('PLUGIN_SESSION_LOST', { reason: said }))
      else if (kind === 'e' && /^\d{1,3}$/.test(said)) settle.resolve(Number(said))
      else return false
      return true
    }
  }
}

/** A connection; `made` fails with the reason why there is none. */
export function connectionSession(send: Send): Session & { readonly made: Promise<Duplex> } {
  const input = inputTo(send)
  const output = outputFrom(send, '1')
  let settle!: { readonly resolve: (made: Duplex) => void; readonly reject: (why: Error) => void }
  const made = new Promise<Duplex>((resolve, reject) => (settle = { resolve, reject }))
  const connection = new Duplex({
    ...output.source,
    write: input.write,
    final: input.end,
    destroy(error, done) {
      send('x', Buffer.alloc(0))
      done(error)
    }
  })
  connection.on('error', () => {})
  const lose = (why: Error) => {
    settle.reject(why)
    connection.destroy(why)
  }
  return {
    made,
    lose,
    take(kind, body) {
      if (kind === 'c') return input.grant(body)
      if (kind === '1') return output.take(connection, body)
      if (kind === 's') settle.resolve(connection)
      else if (kind === 'f') lose(new Error(words(body)))
      return /[sfe]/.test(kind)
    }
  }
}

/** Bytes on their way to the hub, no more than it has room for. */
function inputTo(send: Send) {
  let room = window
  let waiting: (() => void) | undefined
  const write = (chunk: Buffer, _: string, done: (error?: Error | null) => void): void => {
    let at = 0
    const next = (error?: Error | null): void => {
      if (error || at >= chunk.length) return done(error)
      if (room === 0) return void (waiting = next)
      const part = chunk.subarray(at, at + Math.min(room, longestBody))
      at += part.length
      room -= part.length
      send('i', part, next)
    }
    next()
  }
  return {
    write,
    end: (done: (error?: Error | null) => void) => send('i', Buffer.alloc(0), done),
    grant(body: Buffer): boolean {
      room += body.length === 4 ? body.readUInt32BE() : Infinity
      if (room > window) return false
      const resume = waiting
      waiting = undefined
      resume?.()
      return true
    }
  }
}

/** Bytes from the hub, which hears of them as they are taken. */
function outputFrom(send: Send, which: '1' | '2') {
  let owed = 0
  const acknowledge = () => {
    if (owed < worthTelling) return
    const body = Buffer.alloc(5, which)
    body.writeUInt32BE(owed, 1)
    owed = 0
    send('c', body)
  }
  return {
    source: { highWaterMark: ahead, read: acknowledge },
    take(into: Readable, body: Buffer): boolean {
      owed += body.length
      if (owed > window) return false
      if (into.destroyed || into.push(body.length === 0 ? null : body)) acknowledge()
      return true
    }
  }
}

const words = (body: Buffer): string => body.subarray(0, 1024).toString()
