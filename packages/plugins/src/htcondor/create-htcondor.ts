import { dirname } from 'node:path'
import type { BackendModule } from '../kit/backend.ts'
import { RemoteSite } from '../kit/sites/remote-site.ts'
import { sharedSite } from '../kit/sites/site.ts'
import { CallHome } from '../kit/streams/call-home.ts'
import { localTransport } from '../kit/transport/local.ts'
import { SshTransport } from '../kit/transport/ssh.ts'
import { localFolder, remoteFolder } from './event-files.ts'
import { HtcondorBackend } from './htcondor-backend.ts'
import { completeOptions, HtcondorOptions } from './options.ts'
import { TransferSite } from './transfer-site.ts'

/** Runs pods as jobs of an HTCondor pool, through its clients. */
export const htcondorBackend: BackendModule = {
  name: 'htcondor',
  options: HtcondorOptions,
  create(given, context) {
    const options = completeOptions(given)
    const { ssh, bin, config } = options
    const env: Record<string, string> = {
      LC_ALL: 'C',
      ...(config === undefined ? {} : { CONDOR_CONFIG: config })
    }
    const path = `${bin === undefined ? '' : `${bin}:`}${process.env.PATH ?? ''}`
    const transport = ssh ? new SshTransport(ssh, env, bin) : localTransport({ ...env, PATH: path })
    const site =
      options.files === 'transfer'
        ? new TransferSite(options.transferDirectory, options.containers.shell, context.log)
        : ssh?.directory === undefined
          ? sharedSite
          : new RemoteSite(transport, ssh.directory)
    const events =
      ssh?.directory === undefined
        ? localFolder(context.root)
        : remoteFolder(transport, async () => dirname(await site.seenAs(context.root)))
    const { callHome: home, via } = options.streams
    const callHome =
      home && via.includes('call-home') ? new CallHome(home, context, 'options.streams.callHome') : undefined
    return new HtcondorBackend(options, context, { transport, site, events }, callHome)
  }
}
