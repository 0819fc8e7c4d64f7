import type { Check } from '../kit/backend.ts'
import { isUsable } from './cluster-facts.ts'
import type { SlurmClient } from './slurm-client.ts'
import type { Transport } from './transport/transport.ts'

/** What the Slurm backend needs of the cluster, for `interlink doctor`. */
export async function checkSlurm(slurm: SlurmClient, root: string, transport: Transport): Promise<Check[]> {
  const attempt = async (name: string, fix: string, look: () => Promise<string>): Promise<Check> => {
    try {
      return { name, ok: true, detail: await look(), fix }
    } catch (error) {
      return { name, ok: false, detail: (error as Error).message, fix }
    }
  }
  const clients = await attempt(
    'clients',
    'install Slurm’s clients, or run the plugin where sbatch, squeue and scancel are; SLURM_CONF names a configuration elsewhere',
    async () => `Slurm ${await slurm.version()} on ${transport.where}`
  )
  if (!clients.ok) return [clients]
  return [
    clients,
    ...(await Promise.all([
      attempt('controller', 'see that slurmctld runs and that munge works on this machine', async () => {
        const own = await slurm.jobs()
        return `answers; ${own.length} jobs of this account`
      }),
      attempt('nodes', 'see sinfo; nodes that are down or drained run nothing', async () => {
        const { nodes } = await slurm.facts()
        const usable = nodes.filter(isUsable)
        if (usable.length === 0) throw new Error(`none of ${nodes.length} nodes is usable`)
        return `${usable.length} of ${nodes.length} nodes usable`
      }),
      attempt('lock', 'install util-linux (apt-get install util-linux)', async () => {
        const ran = await transport.run(['flock', '--version'], { timeoutMs: 10_000 })
        if (ran.code !== 0) throw new Error('flock does not run')
        return ran.stdout.toString().trim()
      })
    ])),
    { name: 'job directories', ok: true, detail: `${root}; the nodes must see it at the same path` }
  ]
}
