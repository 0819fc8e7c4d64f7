import type { BackendModule } from '../kit/backend.ts'
import { CallHome } from '../kit/streams/call-home.ts'
import { openAccounts } from '../kit/users/open-accounts.ts'
import { slurmEnv } from './commands.ts'
import { completeOptions, SlurmOptions } from './options.ts'
import { SlurmBackend } from './slurm-backend.ts'

/** Runs pods as jobs of a Slurm cluster, through its clients. */
export const slurmBackend: BackendModule = {
  name: 'slurm',
  options: SlurmOptions,
  create(given, context) {
    const options = completeOptions(given)
    const env = { ...slurmEnv, ...(options.conf === undefined ? {} : { SLURM_CONF: options.conf }) }
    const { callHome: home, via } = options.streams
    const callHome =
      home && via.includes('call-home') ? new CallHome(home, context, 'options.streams.callHome') : undefined
    return openAccounts(
      options,
      env,
      context,
      ({ transport, site, images }) =>
        new SlurmBackend({ ...options, images }, context, transport, site, callHome)
    )
  }
}
