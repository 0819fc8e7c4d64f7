import { prepareOnce } from './prepare-once.mjs'

/** Builds the real Kubernetes control plane of the tests where it is missing and Go is there. */
export const ensureControlPlane = (options) =>
  prepareOnce(
    {
      script: ['test/kube/build.sh'],
      needs: ['go', 'version'],
      lacking: 'Go 1.25 or later is not installed: tests on the real Kubernetes control plane cannot run',
      name: 'the real Kubernetes control plane',
      title: 'Building the Kubernetes control plane, once per machine, about 7 minutes'
    },
    options
  )
