import { prepareOnce } from './prepare-once.mjs'

/** Installs Incus, which Debian 12 has in its backports, where it is missing and this is root's machine. */
export const ensureIncus = (options) =>
  prepareOnce(
    {
      script: ['test/incus/install.sh'],
      needs: ['sh', '-c', '[ "$(id -u)" = 0 ] && command -v apt-get'],
      lacking: 'Incus is missing, and not installed without root on Debian; its tests cannot run',
      name: 'Incus',
      title: 'Installing Incus'
    },
    options
  )
