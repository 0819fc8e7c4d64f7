import { prepareOnce } from './prepare-once.mjs'

/** Prepares the second version of Slurm that the tests run with, where it is missing and Debian's apt is there. */
export const ensureSecondSlurm = (options) =>
  prepareOnce(
    {
      script: ['test/slurm/second-slurm.sh'],
      needs: ['apt-get', '--version'],
      lacking: 'Slurm 24.11 comes from Debian’s apt, which is not here: its tests cannot run',
      name: 'Slurm 24.11',
      title: 'Fetching Slurm 24.11, once per machine'
    },
    options
  )
