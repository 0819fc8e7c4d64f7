import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { incusMissing, startIncusLab, type IncusLab } from '@interlink-ts/dev-cluster/incus'

const fileOf = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const tree = execFileSync('sh', [fileOf('second-incus.sh'), 'path'], { encoding: 'utf8' }).trim()

/** Why Incus 7.0 cannot be tested with here, or undefined. */
export const secondIncusMissing = (): string | undefined =>
  incusMissing() ??
  (existsSync(tree) ? undefined : `${tree} is missing; test/incus/second-incus.sh prepares it`)

/**
 * A private Incus 7.0, which has no groups of controllers here: limits of processors and memory are not held.
 * `authorities` is the file of those whose certificates it trusts when it fetches images.
 */
export const startSecondIncus = ({ authorities = '' } = {}): Promise<IncusLab> =>
  startIncusLab({ under: ['env', `SSL_CERT_FILE=${authorities}`, 'sh', fileOf('enter-tree.sh'), tree] })
