import { CommandRunner } from './command-runner.ts'
import { localProcess } from '../streams/local-process.ts'
import { TransportError, type Transport } from './transport.ts'

/** The clients of a batch system are on this machine. A command that has begun goes on where the plugin dies. */
export function localTransport(env: Readonly<Record<string, string>>): Transport {
  let runner: CommandRunner | undefined
  let closed = false
  return {
    where: 'this machine',
    run: async (argv, options) => {
      if (closed) throw new TransportError('closed')
      if (!runner || runner.isOver) runner = new CommandRunner(env)
      return runner.run(argv, options)
    },
    open: async (argv) => {
      if (closed) throw new TransportError('closed')
      return localProcess(argv, { ...process.env, ...env }).catch((error: Error) => {
        throw new TransportError(`${argv[0]}: ${error.message}`, { cause: error })
      })
    },
    close: async () => {
      closed = true
      runner?.close()
    }
  }
}
