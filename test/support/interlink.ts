import { fileURLToPath } from 'node:url'
import { eventually } from './eventually.ts'
import { signalGroup, spawnReaped } from './reaper.ts'

const bin = fileURLToPath(new URL('../../packages/cli/bin/interlink.js', import.meta.url))

export interface InterlinkOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** All of standard input. */
  input?: string
}

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface InterlinkProcess {
  pid: number
  /** Everything printed so far. */
  stdout: string
  stderr: string
  ended: Promise<Ended>
  /** Signals the process alone, as an operator would. @default SIGTERM */
  kill(signal?: NodeJS.Signals): void
  /** The match in standard output or standard error, once there; an early end of the process is an error. */
  printed(pattern: RegExp, deadlineMs?: number): Promise<RegExpExecArray>
  /** TERM, then KILL after half a minute, to the whole group. */
  stop(): Promise<Ended>
}

/** Runs `interlink ARGS…` of this checkout, as built by `npm run build`. It cannot outlive this process. */
export function startInterlink(
  args: readonly string[],
  { env = process.env, cwd, input }: InterlinkOptions = {}
): InterlinkProcess {
  const child = spawnReaped(process.execPath, [bin, ...args], { env: plain(env), cwd, stdio: 'pipe' })
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  child.stdin!.end(input)
  const interlink: InterlinkProcess = {
    pid: child.pid!,
    stdout: '',
    stderr: '',
    ended,
    kill: (signal = 'SIGTERM') => void child.kill(signal),
    printed: (pattern, deadlineMs = 120_000) =>
      eventually(
        () => {
          const match = pattern.exec(interlink.stdout) ?? pattern.exec(interlink.stderr)
          if (!match && child.exitCode !== null) throw new EndedEarly(args, interlink)
          return match
        },
        { deadlineMs, everyMs: 20, unless: EndedEarly }
      ),
    async stop() {
      signalGroup(child, 'SIGTERM')
      const kill = setTimeout(() => signalGroup(child, 'SIGKILL'), 30_000)
      return ended.finally(() => clearTimeout(kill))
    }
  }
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (interlink.stdout += text))
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (interlink.stderr += text))
  return interlink
}

/** Runs `interlink ARGS…` to its end. */
export async function runInterlink(args: readonly string[], options?: InterlinkOptions) {
  const interlink = startInterlink(args, options)
  const ended = await interlink.ended
  return { ...ended, stdout: interlink.stdout, stderr: interlink.stderr }
}

class EndedEarly extends Error {
  constructor(args: readonly string[], { stdout, stderr }: InterlinkProcess) {
    super(`interlink ${args.join(' ')} ended early:\n${stdout}\n${stderr}`)
  }
}

/** The test runner's own settings are not for the processes under test. */
const plain = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(NODE_OPTIONS|TAP|TAP_.*|_TAPJS_.*)$/.test(name))
  )
