import { prepareOnce } from './prepare-once.mjs'

/** Prepares the HTCondor that the tests run with, where it is missing and Debian's apt is there. */
export const ensureHtcondor = (options) =>
  prepareOnce(
    {
      script: ['test/htcondor/install.sh'],
      needs: ['apt-get', '--version'],
      lacking: 'HTCondor comes from Debian’s apt, which is not here: its tests cannot run',
      name: 'HTCondor',
      title: 'Fetching HTCondor, once per machine'
    },
    options
  )
