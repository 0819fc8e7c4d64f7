import { shellWords } from '../kit/supervisor/quote.ts'
import type { SlurmClient } from './slurm-client.ts'
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
  const look = `for program in ${shellWords(Object.keys(needed))}; do command -v "$program" >/dev/null || echo "$program"; done`
  const { stdout } = await transport.run(['sh', '-c', look], { timeoutMs: 30_000 })
  const missing = stdout
    .toString()
    .split('\n')
    .filter((program) => Object.hasOwn(needed, program))
  if (missing.length > 0)
    throw new Error(
      `${transport.where} lacks ${missing.join(', ')} (${[...new Set(missing.map((program) => needed[program]))].join(', ')}); ` +
        'is it the login node, and are they on the PATH of commands that run without a login shell, or in options.bin?'
    )
  await slurm.jobs().catch((error: unknown) => {
    throw new Error(`Slurm on ${transport.where} does not answer: ${(error as Error).message}`, {
      cause: error
    })
  })
}
