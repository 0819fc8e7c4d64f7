import { prepareOnce } from './prepare-once.mjs'

/** Prepares the JupyterLab that a test uses in a pod, where it is missing and Python can make a virtual environment. */
export const ensureJupyterLab = (options) =>
  prepareOnce(
    {
      script: 'test/slurm/jupyterlab.sh',
      needs: ['python3', '-c', 'import ensurepip, venv'],
      lacking: 'JupyterLab comes by python3 -m venv, which is not here: its test cannot run',
      name: 'JupyterLab',
      title: 'Fetching JupyterLab from PyPI, once per machine'
    },
    options
  )
