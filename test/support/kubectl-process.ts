import { kubectlPath } from './kubectl.ts'
import { spawnReaped } from './reaper.ts'

/** How a kubectl has ended. */
export interface Ran {
  readonly code: number
  readonly stdout: Buffer
  readonly stderr: string
}

/** The two ways in which kubectl speaks to an API server. */
export const ways = {
  WebSockets: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'true', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'true' },
  'SPDY/3.1': { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'false' }
}

/** A kubectl that goes on beside the test; `open` leaves its stdin to the caller, and without `reads` so is its stdout. */
export function startKubectl(
  env: NodeJS.ProcessEnv,
  args: readonly string[],
  input: Buffer | 'open' = Buffer.alloc(0),
  { reads = true } = {}
) {
  const child = spawnReaped(kubectlPath()!, args, { env, stdio: 'pipe' })
  const stdout: Buffer[] = []
  let stderr = ''
  if (reads) child.stdout!.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin!.on('error', () => {})
  if (input !== 'open') child.stdin!.end(input)
  return {
    child,
    ended: new Promise<Ran>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => resolve({ code: code ?? -1, stdout: Buffer.concat(stdout), stderr }))
    }),
    text: () => Buffer.concat(stdout).toString()
  }
}

export const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
