import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { htcondorMissing } from '@interlink-ts/dev-cluster/htcondor'

const script = fileURLToPath(new URL('install.sh', import.meta.url))

/** RELEASE_DIR of the HTCondor that is tested with. */
export const htcondorPrefix = execFileSync('sh', [script, 'path'], { encoding: 'utf8' }).trim()

/** Why it is not there, or undefined. */
export const htcondorUnprepared = (): string | undefined => {
  const missing = htcondorMissing(htcondorPrefix)
  return missing === undefined ? undefined : `${missing}; test/htcondor/install.sh prepares it`
}
