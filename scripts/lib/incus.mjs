import { prepareOnce } from './prepare-once.mjs'

const rootsApt = ['sh', '-c', '[ "$(id -u)" = 0 ] && command -v apt-get']

/** Installs Incus, which Debian 12 has in its backports, where it is missing and this is root's machine. */
export const ensureIncus = (options) =>
  prepareOnce(
    {
      script: ['test/incus/install.sh'],
      needs: rootsApt,
      lacking: 'Incus is missing, and not installed without root on Debian; its tests cannot run',
      name: 'Incus',
      title: 'Installing Incus'
    },
    options
  )

/** Prepares the second version of Incus that the tests run with, where it is missing and this is root's machine. */
export const ensureSecondIncus = (options) =>
  prepareOnce(
    {
      script: ['test/incus/second-incus.sh'],
      needs: rootsApt,
      lacking: 'Incus 7.0 comes by root’s apt of Debian, which is not here: its tests cannot run',
      name: 'Incus 7.0',
      title: 'Fetching Incus 7.0, once per machine'
    },
    options
  )
