import { setTimeout as sleep } from 'node:timers/promises'
import { openShell, startInstance } from '@interlink-ts/plugins/lab'
import type { Lab, LabFlags } from './session.ts'

interface BashFlags extends LabFlags {
  readonly force?: boolean
  readonly timeout: number
  readonly attempts: number
}

/** A terminal where this is one, else pipes; ends with the status of what ran. */
export async function instanceBash(
  lab: Lab,
  { force = false, timeout, attempts }: BashFlags,
  name: string,
  command: readonly string[]
): Promise<void> {
  let found = await lab.instance(name)
  if (force && (await startInstance(found)).changed) found = await lab.instance(name)
  const { stdin, stdout, stderr } = process
  const isTerminal = Boolean(stdin.isTTY && stdout.isTTY)
  const session = await openShell(found, {
    ...(command.length > 0 ? { command } : {}),
    ...(isTerminal ? { terminal: { width: stdout.columns, height: stdout.rows } } : {}),
    attempts,
    pauseSeconds: timeout / attempts
  })
  const resize = () => session.resize(stdout.columns, stdout.rows)
  if (isTerminal) {
    stdin.setRawMode(true)
    stdout.on('resize', resize)
  }
  try {
    stdin.pipe(session.stdin)
    // What was said may come after the end.
    const said = Promise.all(
      [session.stdout, session.stderr].map((stream, index) => passOn(stream, [stdout, stderr][index]!))
    )
    process.exitCode = await lab.remotes
      .connect(found.server.remote)
      .then((server) => server.told(session.exited))
    await Promise.race([said, sleep(2000)])
  } finally {
    if (isTerminal) {
      stdin.setRawMode(false)
      stdout.off('resize', resize)
    }
    stdin.unpipe(session.stdin)
    stdin.pause()
  }
}

const passOn = (from: NodeJS.ReadableStream, to: NodeJS.WritableStream): Promise<void> =>
  new Promise((resolve) => {
    from.on('data', (chunk: Buffer) => {
      if (to.write(chunk)) return
      from.pause()
      to.once('drain', () => from.resume())
    })
    from.once('end', resolve).once('close', resolve)
  })
