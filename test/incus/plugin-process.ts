/** An Incus plugin as a process of its own, to be killed: DIR SOCKET. */
import { join } from 'node:path'
import { pino } from 'pino'
import { startPlugin } from '@interlink-ts/plugins/kit'
import { incusBackend } from '@interlink-ts/plugins/incus'
import { pluginConfig } from '../support/plugin.ts'

const [dir = '', socket = ''] = process.argv.slice(2)
await startPlugin({
  module: incusBackend,
  config: pluginConfig({ options: { url: `unix://${socket}` } }, dir),
  log: pino({ level: 'debug' }, pino.destination({ dest: join(dir, 'plugin.log'), sync: true }))
})
process.stdout.write('up\n')
