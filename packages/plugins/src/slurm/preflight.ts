import type { SlurmClient } from './slurm-client.ts'
import { needPrograms } from '../kit/transport/need-programs.ts'
import type { Transport } from '../kit/transport/transport.ts'

/** What is run on the machine of Slurm's clients, and what brings it. */
const needed: Readonly<Record<string, string>> = {
  sbatch: 'Slurm’s clients',
  squeue: 'Slurm’s clients',
  scancel: 'Slurm’s clients',
  sinfo: 'Slurm’s clients',
  flock: 'util-linux',
  find: 'findutils',
  tar: 'tar',
  base64: 'coreutils'
}

/**
 * Fails where no pod could become a job: nobody is let in, a program is missing, or the controller does not answer.
 * @throws Error, TransportError that say what to do
 */
export async function preflight(slurm: Pick<SlurmClient, 'jobs'>, transport: Transport): Promise<void> {
  await needPrograms(transport, needed, 'the login node')
  await slurm.jobs().catch((error: unknown) => {
    throw new Error(`Slurm on ${transport.where} does not answer: ${(error as Error).message}`, {
      cause: error
    })
  })
}
