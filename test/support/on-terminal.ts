/** A command on a terminal of its own, as a person at a keyboard has it. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { eventually } from './eventually.ts'
import { signalGroup, spawnReaped } from './reaper.ts'

const program = readFileSync(
  fileURLToPath(new URL('../../packages/plugins/assets/streams/session.pl', import.meta.url)),
  'utf8'
)

export interface Terminal {
  type(text: string): void
  resize(columns: number, rows: number): void
  /** Once it is shown. @param deadlineMs @default 180 000 */
  shows(pattern: RegExp, deadlineMs?: number): Promise<void>
  /** The exit code. */
  readonly ended: Promise<number>
  /** Pulls the plug. */
  kill(): void
}

export function onTerminal(argv: readonly string[], env: NodeJS.ProcessEnv): Terminal {
  const child = spawnReaped('perl', ['-e', program, '--', 'terminal', ...argv], { env, stdio: 'pipe' })
  const frame = (channel: number, body: Buffer) => {
    const head = Buffer.alloc(5)
    head.writeUInt8(channel)
    head.writeUInt32BE(body.length, 1)
    child.stdin!.write(Buffer.concat([head, body]))
  }
  let shown = ''
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (text: string) => (shown += text))
  child.stdin!.on('error', () => {})
  return {
    type: (text) => frame(0, Buffer.from(text)),
    resize(columns, rows) {
      const size = Buffer.alloc(4)
      size.writeUInt16BE(rows)
      size.writeUInt16BE(columns, 2)
      frame(4, size)
    },
    async shows(pattern, deadlineMs = 180_000) {
      await eventually(
        () => {
          if (!pattern.test(shown)) throw new Error(`${pattern.source} is not in ${JSON.stringify(shown)}`)
          return true
        },
        { deadlineMs }
      )
    },
    ended: new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => resolve(code ?? -1))
    }),
    kill: () => signalGroup(child, 'SIGKILL')
  }
}
