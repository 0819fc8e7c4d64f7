import { shellWords } from '../kit/supervisor/quote.ts'
import type { Transport } from '../kit/transport/transport.ts'
import type { CondorClient } from './condor-client.ts'

/** What is run on the machine of HTCondor's clients, and what brings it. */
const needed: Readonly<Record<string, string>> = {
  condor_submit: 'HTCondor',
  condor_q: 'HTCondor',
  condor_rm: 'HTCondor',
  condor_history: 'HTCondor',
  condor_status: 'HTCondor',
  flock: 'util-linux'
}

/**
 * Fails where no pod could become a job: nobody is let in, a program is missing, or the queue does not answer.
 * @throws Error, TransportError that say what to do
 */
export async function preflight(condor: Pick<CondorClient, 'jobs'>, transport: Transport): Promise<void> {
  const look = `for program in ${shellWords(Object.keys(needed))}; do command -v "$program" >/dev/null || echo "$program"; done`
  const { stdout } = await transport.run(['sh', '-c', look], { timeoutMs: 30_000 })
  const missing = stdout
    .toString()
    .split('\n')
    .filter((program) => Object.hasOwn(needed, program))
  if (missing.length > 0)
    throw new Error(
      `${transport.where} lacks ${missing.join(', ')} (${[...new Set(missing.map((program) => needed[program]))].join(', ')}); ` +
        'is it a machine that submits, and are they on the PATH of commands that run without a login shell, or in options.bin?'
    )
  await condor.jobs('false').catch((error: unknown) => {
    throw new Error(
      `the queue of HTCondor on ${transport.where} does not answer: ${(error as Error).message}`,
      {
        cause: error
      }
    )
  })
}
