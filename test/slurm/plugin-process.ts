/** A Slurm plugin as a process of its own, to be killed: DIR SLURM_CONF; PATH may lead to an sbatch in front of the real one. */
import { pino } from 'pino'
import { startPlugin } from '@interlink-ts/plugins/kit'
import { slurmBackend } from '@interlink-ts/plugins/slurm'
import { pluginConfig } from './slurm-plugin.ts'

const [dir = '', conf = ''] = process.argv.slice(2)
await startPlugin({
  module: slurmBackend,
  config: pluginConfig({ options: { conf } }, dir),
  log: pino({ level: 'silent' })
})
process.stdout.write('up\n')
