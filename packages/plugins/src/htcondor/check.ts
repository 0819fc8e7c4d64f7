import type { Check } from '../kit/backend.ts'
import { attempt } from '../kit/checks/attempt.ts'
import { checkJob, type Pool } from './check-job.ts'
import type { CondorClient } from './condor-client.ts'
import type { HtcondorOptions } from './options.ts'

/** What the HTCondor backend needs of the pool, for `interlink doctor`. */
export async function checkCondor(pool: Pool): Promise<Check[]> {
  const { condor, transport, options } = pool
  const clients = await attempt(
    'clients',
    'install HTCondor’s clients, or run the plugin where condor_submit and condor_q are; options.config and options.bin name an installation elsewhere',
    async () => `HTCondor ${await condor.version()} on ${transport.where}`
  )
  if (!clients.ok) return [clients]
  const checks = await Promise.all([
    attempt(
      'queue',
      'see that condor_schedd runs (condor_status -schedd), that options.schedd and options.pool name it, and that the configuration names a token or certificate that it takes',
      async () => `${(await condor.jobs('InterLinkRoot =!= undefined')).length} jobs of pods`
    ),
    attempt('lock', 'install util-linux (apt-get install util-linux)', async () => {
      const ran = await transport.run(['flock', '--version'], { timeoutMs: 30_000 })
      return ran.stdout.toString().trim()
    }),
    attempt('slots', 'see condor_status; correct options.slots', () => slots(condor, options))
  ])
  const isOpen = checks.every(({ name, ok }) => ok || name !== 'queue')
  return [clients, ...checks, ...(isOpen ? await checkJob(pool) : [])]
}

async function slots(condor: CondorClient, { containers }: HtcondorOptions): Promise<string> {
  const found = await condor.slots()
  if (found.length === 0) throw new Error('the pool offers no slot')
  const cpus = found.reduce((sum, slot) => sum + slot.cpus, 0)
  const apptainer = found.filter(({ hasApptainer }) => hasApptainer).length
  return [
    `${found.length} machines, ${cpus} cpus`,
    ...(containers.runtime === 'host' ? [] : [`${apptainer} of them announce Apptainer (HasSingularity)`])
  ].join('; ')
}
