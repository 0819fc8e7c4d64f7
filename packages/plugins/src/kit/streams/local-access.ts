import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type TcpNetConnectOpts } from 'node:net'
import { constants } from 'node:os'
import type { JobAccess } from './job-streams.ts'

/** How jobs are reached that run on this machine, under this account. `environment` is what a job is started with. */
export const localAccess = (environment: NodeJS.ProcessEnv): Pick<JobAccess, 'run' | 'connect'> => ({
  async run(_, [file, ...args], signal) {
    const child = spawn(file!, args, { cwd: '/', detached: true, env: environment })
    const exit = new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, by) => resolve(code ?? 128 + (by ? constants.signals[by] : 0)))
    })
    await Promise.race([once(child, 'spawn'), exit])
    const leave = () => child.stdin.destroy()
    signal.addEventListener('abort', leave, { once: true })
    if (signal.aborted) leave()
    return { stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, exit }
  },
  async connect(_, port, signal) {
    const options: TcpNetConnectOpts = { host: 'localhost', port, allowHalfOpen: true, noDelay: true }
    const socket = connect(options)
    await once(socket, 'connect', { signal })
    return socket
  }
})
