import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('venv.sh', import.meta.url))

export interface Venv {
  readonly directory: string
  readonly python: string
  /** Why it cannot run here. */
  readonly missing?: string
}

/** A program of PyPI that venv.sh prepares. */
export function venv(name: 'dask' | 'jupyterlab'): Venv {
  const directory = execFileSync('sh', [script, name, 'path'], { encoding: 'utf8' }).trim()
  return {
    directory,
    python: join(directory, 'bin/python'),
    ...(existsSync(directory)
      ? {}
      : { missing: `${directory} is missing; run sh test/support/venv.sh ${name}` })
  }
}
