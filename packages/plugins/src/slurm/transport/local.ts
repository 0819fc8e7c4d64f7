import { spawn, type ChildProcess } from 'node:child_process'
import { maxOutput, TransportError, type Ran, type RunOptions, type Transport } from './transport.ts'

/** Slurm's clients are on this machine. A command that has begun goes on where the plugin dies. */
export function localTransport(env: Readonly<Record<string, string>> = {}): Transport {
  return {
    where: 'this machine',
    run: (argv, options) => runHere(argv, { ...options, env: { ...env, ...options.env } }),
    close: async () => {}
  }
}

function runHere([program = '', ...args]: readonly string[], options: RunOptions): Promise<Ran> {
  const { input, timeoutMs, env } = options
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: '/',
      stdio: 'pipe',
      // Ctrl-C at the plugin is not meant for what it has begun.
      detached: true,
      env: { ...process.env, ...env }
    })
    let failed = false
    const fail = (error: Error) => {
      // What runs as somebody else cannot be killed, which is an error again.
      if (failed) return
      failed = true
      clearTimeout(timer)
      killGroup(child)
      reject(error)
    }
    const timer = setTimeout(
      () => fail(new TransportError(`${program} did not end within ${timeoutMs / 1000} s`)),
      timeoutMs
    )
    const chunks: Buffer[] = []
    let bytes = 0
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > maxOutput) fail(new TransportError(`${program} printed more than ${maxOutput} bytes`))
      else chunks.push(chunk)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(0, 65_536)))
    // Who ends without reading is judged by its exit code.
    child.stdin.on('error', () => {})
    child.on('error', (error: NodeJS.ErrnoException) =>
      fail(
        new TransportError(
          error.code === 'ENOENT' ? `${program} is not there; install Slurm's clients` : error.message,
          { cause: error }
        )
      )
    )
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ ...(code === null ? {} : { code }), stdout: Buffer.concat(chunks), stderr })
    })
    child.stdin.end(input)
  })
}

/** A client may be a script of the site, and what hangs a child of it. */
function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
