import { pino } from 'pino'
import type { PluginConfig } from '../src/kit/server/config.ts'
import { startPlugin } from '../src/kit/server/start-plugin.ts'
import { processBackend } from '../src/process/index.ts'

await startPlugin({
  module: processBackend,
  config: JSON.parse(process.argv[2]!) as Partial<PluginConfig>,
  log: pino({ level: 'silent' })
})
process.stdout.write('up\n')
