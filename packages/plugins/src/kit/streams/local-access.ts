import { once } from 'node:events'
import { connect, type TcpNetConnectOpts } from 'node:net'
import type { JobAccess } from './job-streams.ts'
import { localProcess } from './local-process.ts'

/** How jobs are reached that run on this machine, under this account. `environment` is what a job is started with. */
export const localAccess = (environment: NodeJS.ProcessEnv): Pick<JobAccess, 'run' | 'connect'> => ({
  async run(_, argv, signal) {
    const started = await localProcess(argv, environment)
    const leave = () => started.stdin.destroy()
    signal.addEventListener('abort', leave, { once: true })
    if (signal.aborted) leave()
    return started
  },
  async connect(_, port, signal) {
    const options: TcpNetConnectOpts = { host: 'localhost', port, allowHalfOpen: true, noDelay: true }
    const socket = connect(options)
    await once(socket, 'connect', { signal })
    return socket
  }
})
