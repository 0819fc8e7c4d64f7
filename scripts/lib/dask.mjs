import { prepareOnce } from './prepare-once.mjs'

/** Prepares the Dask that a test uses in pods, where it is missing and Python can make a virtual environment. */
export const ensureDask = (options) =>
  prepareOnce(
    {
      script: 'test/htcondor/dask.sh',
      needs: ['python3', '-c', 'import ensurepip, venv'],
      lacking: 'Dask comes by python3 -m venv, which is not here: its test cannot run',
      name: 'Dask',
      title: 'Fetching Dask from PyPI, once per machine'
    },
    options
  )
