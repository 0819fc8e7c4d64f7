import { needPrograms } from '../kit/transport/need-programs.ts'
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
  await needPrograms(transport, needed, 'a machine that submits')
  await condor.jobs('false').catch((error: unknown) => {
    throw new Error(
      `the queue of HTCondor on ${transport.where} does not answer: ${(error as Error).message}`,
      { cause: error }
    )
  })
}
