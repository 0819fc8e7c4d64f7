import type { Check } from '../kit/backend.ts'
import type { Site } from '../kit/sites/site.ts'
import type { CallHome } from '../kit/streams/call-home.ts'
import type { Transport } from '../kit/transport/transport.ts'
import type { CondorClient } from './condor-client.ts'
import type { HtcondorOptions } from './options.ts'

export interface Pool {
  readonly condor: CondorClient
  readonly site: Site
  readonly transport: Transport
  readonly options: HtcondorOptions
  readonly callHome: CallHome | undefined
  /** Of the job directories, as the plugin sees it. */
  readonly root: string
}

/** What the HTCondor backend needs of the pool, for `interlink doctor`. */
export async function checkCondor({ condor, transport, options }: Pool): Promise<Check[]> {
  const clients = await attempt(
    'clients',
    'install HTCondor’s clients, or run the plugin where condor_submit and condor_q are; options.config and options.bin name an installation elsewhere',
    async () => `HTCondor ${await condor.version()} on ${transport.where}`
  )
  if (!clients.ok) return [clients]
  return [
    clients,
    ...(await Promise.all([
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
    ]))
  ]
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

async function attempt(name: string, fix: string, look: () => Promise<string>): Promise<Check> {
  try {
    return { name, ok: true, detail: await look(), fix }
  } catch (error) {
    return { name, ok: false, detail: (error as Error).message, fix }
  }
}
