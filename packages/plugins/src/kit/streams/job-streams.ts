/** exec, attach and port-forward for every backend that can start a program where a job runs. */
import { finished } from 'node:stream/promises'
import { join } from 'node:path'
import { Writable, type Duplex, type Readable } from 'node:stream'
import { channel } from '@interlink-ts/interlink-api/streams'
import type { Streams, SubmittedJob, TerminalSize } from '../backend.ts'
import { openLog } from '../jobs/log-reader.ts'
import { sessionProgram } from '../supervisor/write-job.ts'

/** A program that was started beside a job. */
export interface Started {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** Its exit code, or 128 and the number of the signal. */
  readonly exit: Promise<number>
}

export interface JobAccess {
  /**
   * Starts a program where the job runs, outside of its containers. Its stdin is closed when `signal` is aborted or
   * this process ends; it then ends by itself.
   */
  run(job: SubmittedJob, argv: readonly string[], signal: AbortSignal): Promise<Started>
  /**
   * The same for a command: when `signal` is aborted or this process ends, its process group gets HUP, and KILL after
   * two seconds. What it leaves in the background does not keep its streams open. @default by session.pl
   */
  command?(job: SubmittedJob, argv: readonly string[], signal: AbortSignal): Promise<Started>
  /** A connection to a port on the loopback of the job's network. */
  connect(job: SubmittedJob, port: number, signal: AbortSignal): Promise<Duplex>
  /** The directory of a job as the machine that runs it sees it. @default as the plugin does */
  seenAs?(job: SubmittedJob): string | Promise<string>
  /** Perl of that machine. @default perl */
  readonly perl?: string
  /** @default /bin/sh */
  readonly shell?: string
}

/** Argument: the pipe from which session.pl reads; it is not there where the machine lacks perl. */
const typeInto = '[ -p "$1" ] && exec cat >"$1"'

/** Streams of a backend whose jobs run under the supervisor. */
export function jobStreams(access: JobAccess): Streams {
  const { perl = 'perl', shell = '/bin/sh' } = access
  const seenAs = async (job: SubmittedJob) => access.seenAs?.(job) ?? job.dir
  /** To whose stdin somebody has been attached: the first one hears all that was said before. */
  const attached = new Set<string>()
  return {
    async exec(job, { container, command, stdin, tty, signal }) {
      const enter = join(await seenAs(job), 'c', container, 'enter')
      if (access.command && !tty) {
        const started = await access.command(job, [shell, enter, ...command], signal)
        const { stdin: input, ...outputs } = started
        if (!stdin) input.end()
        return stdin ? started : outputs
      }
      const session = [perl, '-e', await sessionProgram(), '--', tty ? 'terminal' : 'pipes']
      const started = await access.run(job, [...session, shell, enter, ...command], signal)
      const input = frames(started.stdin)
      if (!stdin) input.writer.end()
      return {
        stdout: started.stdout,
        exit: started.exit,
        ...(stdin && { stdin: input.writer }),
        ...(tty ? { resize: input.resize } : { stderr: started.stderr })
      }
    },
    /** What it says is in its log already; what it hears goes into the pipe from which session.pl reads. */
    async attach(job, { container, attempt, isRunning, stdin, stdinOnce, tty, signal }) {
      const isFirst = stdinOnce && !attached.has(`${job.uid} ${container} ${attempt}`)
      if (isFirst) attached.add(`${job.uid} ${container} ${attempt}`)
      const output = (stream: 'stdout' | 'stderr') =>
        openLog({
          ...{ dir: job.dir, container, attempt, stream, only: true, follow: true, signal, isRunning },
          ...(isFirst ? {} : { tailLines: 0 })
        })
      const [stdout, stderr] = await Promise.all([output('stdout'), tty ? undefined : output('stderr')])
      const exit = Promise.all([stdout, stderr].map((one) => one && finished(one))).then(() => 0)
      exit.catch(() => {})
      if (!stdin && !tty) return { stdout, stderr: stderr!, exit }
      const pipe = join(await seenAs(job), 'run', `${container}.in`)
      const typing = await access.run(
        job,
        [shell, '-c', typeInto, 'attach', pipe],
        new AbortController().signal
      )
      const input = frames(typing.stdin, { tellsEnd: stdinOnce })
      // Also where the caller is cut off, the end of its stdin is told.
      const leave = () => input.writer.end(() => typing.stdin.end())
      signal.addEventListener('abort', leave, { once: true })
      void exit.finally(() => typing.stdin.end()).catch(() => {})
      return {
        stdout,
        exit,
        ...(stdin && { stdin: input.writer }),
        ...(tty ? { resize: input.resize } : { stderr: stderr! })
      }
    },
    portForward: (job, port, signal) => access.connect(job, port, signal)
  }
}

/** What session.pl reads. `tellsEnd`: whether the end of what is written is the end of the command's stdin. */
function frames(
  to: Writable,
  { tellsEnd = true }: { readonly tellsEnd?: boolean } = {}
): { readonly writer: Writable; resize(size: TerminalSize): void } {
  // It may end without reading all.
  to.on('error', () => {})
  const send = (id: number, body: Buffer, done?: (error?: Error | null) => void) => {
    const head = Buffer.alloc(5)
    head.writeUInt8(id)
    head.writeUInt32BE(body.length, 1)
    to.write(Buffer.concat([head, body]), done)
  }
  const writer = new Writable({
    write: (chunk: Buffer, _, done) => send(channel.stdin, chunk, done),
    final: (done) => (tellsEnd ? send(channel.stdin, Buffer.alloc(0), done) : done())
  })
  writer.on('error', () => {})
  return {
    writer,
    resize({ columns, rows }) {
      const size = Buffer.alloc(4)
      size.writeUInt16BE(rows)
      size.writeUInt16BE(columns, 2)
      send(channel.resize, size)
    }
  }
}
