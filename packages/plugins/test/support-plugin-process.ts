/** A plugin with the process backend that kills itself, as a crash would, where it is told to. */
import { join } from 'node:path'
import { pino } from 'pino'
import type { Backend, BackendModule } from '../src/kit/backend.ts'
import { startPlugin } from '../src/kit/server/start-plugin.ts'
import { processBackend } from '../src/process/index.ts'

const [dir = '', crashAt = ''] = process.argv.slice(2)

const crash = (point: string): void => {
  if (point === crashAt) process.kill(process.pid, 'SIGKILL')
}

const steps = ['render', 'submit', 'find', 'cancel', 'release'] as const

const module: BackendModule = {
  ...processBackend,
  create(options, context) {
    const backend = processBackend.create(options, context)
    const crashing = Object.fromEntries(
      steps.map((step) => [
        step,
        async (...args: never[]) => {
          crash(`before ${step}`)
          const answer: unknown = await (backend[step] as (...all: never[]) => Promise<unknown>).apply(
            backend,
            args
          )
          crash(`after ${step}`)
          return answer
        }
      ])
    ) as unknown as Pick<Backend, (typeof steps)[number]>
    return {
      name: backend.name,
      check: () => backend.check(),
      list: (jobs) => backend.list(jobs),
      honours: () => backend.honours!(),
      ...crashing
    }
  }
}

const plugin = await startPlugin({
  module,
  config: {
    root: join(dir, 'jobs'),
    listen: `unix://${join(dir, 'plugin.sock')}`,
    retention: { deletedSeconds: 0, tombstoneSeconds: 60 },
    lostSeconds: 2,
    listSeconds: 0.5
  },
  log: pino({ level: 'silent' })
})
process.stdout.write('up\n')
process.once('SIGTERM', () => void plugin.close().then(() => process.exit(0)))
