import { prepareOnce } from './prepare-once.mjs'

const names = { dask: 'Dask', jupyterlab: 'JupyterLab' }

/** Prepares a program of PyPI that a test uses in pods, where it is missing and Python can make a virtual environment. */
export const ensureVenv = (program, options) =>
  prepareOnce(
    {
      script: ['test/support/venv.sh', program],
      needs: ['python3', '-c', 'import ensurepip, venv'],
      lacking: `${names[program]} comes by python3 -m venv, which is not here: its test cannot run`,
      name: names[program],
      title: `Fetching ${names[program]} from PyPI, once per machine`
    },
    options
  )
