import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { requireReal } from '../support/require-real.ts'

const script = fileURLToPath(new URL('second-slurm.sh', import.meta.url))
const second = execFileSync('sh', [script, 'path'], { encoding: 'utf8' }).trim()

/** What is tested with: this machine's Slurm, which is 22.05 on Debian 12, and one that is two years younger. */
export const slurms = [
  { name: 'this machine’s Slurm', prefix: undefined },
  { name: 'Slurm 24.11', prefix: second }
] as const

/**
 * Runs the same tests on both versions of Slurm: at the same time, as they mostly wait. `missing` says why they cannot
 * run with the Slurm of a prefix; {@link startSlurmLab} takes it.
 */
export function eachSlurm(
  t: Pick<Test, 'test' | 'jobs'>,
  missing: (prefix?: string) => string | undefined,
  body: (t: Test, prefix: string | undefined) => Promise<void>
): void {
  t.jobs = slurms.length
  for (const { name, prefix } of slurms)
    void t.test(`on ${name}`, { buffered: true }, async (t) => {
      if (requireReal(t, slurmUnprepared(prefix) ?? missing(prefix))) await body(t, prefix)
    })
}

/** Why the Slurm of a prefix is not there to be tested with, or undefined. */
export const slurmUnprepared = (prefix: string | undefined): string | undefined =>
  prefix === undefined || existsSync(prefix)
    ? undefined
    : `${prefix} is missing; test/slurm/second-slurm.sh prepares it`
