import { dirname, join } from 'node:path'
import type { BackendModule } from '../kit/backend.ts'
import { rootMark } from '../kit/jobs/root-mark.ts'
import { sharedSite } from '../kit/sites/site.ts'
import { CallHome } from '../kit/streams/call-home.ts'
import { openAccounts } from '../kit/users/open-accounts.ts'
import { eventDirectory, localFolder, remoteFolder } from './event-files.ts'
import { HtcondorBackend } from './htcondor-backend.ts'
import { completeOptions, HtcondorOptions } from './options.ts'
import { TransferSite } from './transfer-site.ts'

/** Runs pods as jobs of an HTCondor pool, through its clients. */
export const htcondorBackend: BackendModule = {
  name: 'htcondor',
  options: HtcondorOptions,
  create(given, context) {
    const options = completeOptions(given)
    const { config, files, transferDirectory, containers } = options
    const env: Record<string, string> = {
      LC_ALL: 'C',
      ...(config === undefined ? {} : { CONDOR_CONFIG: config })
    }
    const { callHome: home, via } = options.streams
    const callHome =
      home && via.includes('call-home') ? new CallHome(home, context, 'options.streams.callHome') : undefined
    return openAccounts(options, env, context, (account) => {
      const { transport, site: seen, images } = account
      const site =
        files === 'transfer' ? new TransferSite(transferDirectory, containers.shell, context.log) : seen
      const events =
        seen === sharedSite
          ? localFolder(context.root)
          : // Other plugins may keep their jobs there too.
            remoteFolder(transport, async () =>
              join(dirname(await seen.seenAs(context.root)), eventDirectory, await rootMark(context.root))
            )
      return new HtcondorBackend({ ...options, images }, context, { ...account, site }, events, callHome)
    })
  }
}
