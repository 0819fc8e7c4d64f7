/** Where the programs of a lab are: all of this machine's packages, or a Slurm of another place with the rest of them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { accountingPrograms } from './lab-accounting.ts'

const programs = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'squeue', 'scontrol']

/** Of whoever runs them; `prefix` is that of a Slurm's `./configure --prefix`. */
export function pathOf(prefix?: string): string {
  const system = `/usr/local/sbin:/usr/sbin:/sbin:${process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin'}`
  return prefix === undefined ? system : `${prefix}/bin:${prefix}/sbin:${system}`
}

const missing = (wanted: readonly string[], prefix: string | undefined, packages: string) => {
  const places = pathOf(prefix).split(':')
  const absent = wanted.filter((program) => !places.some((dir) => existsSync(join(dir, program))))
  return absent.length === 0 ? undefined : `${absent.join(', ')} missing; apt-get install ${packages}`
}

/** Why there can be no lab here, or undefined. */
export function slurmMissing(prefix?: string): string | undefined {
  const absent = prefix === undefined ? undefined : elsewhere.find((name) => !existsSync(join(prefix, name)))
  if (absent !== undefined) return `there is no ${join(prefix!, absent)}; ${prefix} is no prefix of a Slurm`
  return missing(programs, prefix, 'munge slurmctld slurmd slurm-client slurm-wlm-basic-plugins')
}

/** Of a Slurm with a prefix: daemons of one version and clients of another would not do. */
const elsewhere = [
  'bin/sbatch',
  'bin/squeue',
  'sbin/slurmctld',
  'sbin/slurmd',
  'sbin/slurmstepd',
  'lib/slurm'
]

/** Why there can be no lab with accounting here, or undefined. */
export const accountingMissing = (prefix?: string): string | undefined =>
  slurmMissing(prefix) ??
  missing(accountingPrograms, prefix, 'mariadb-server slurmdbd slurm-wlm-mysql-plugin')

/** Of slurm.conf(5) and slurmdbd.conf(5): an installation that was moved does not know by itself. */
export const pluginLines = (prefix: string | undefined): string[] =>
  prefix === undefined ? [] : [`PluginDir=${prefix}/lib/slurm`]

export const slurmdArgv = (node: string, prefix: string | undefined): readonly [string, ...string[]] => [
  'slurmd',
  '-D',
  '-N',
  node,
  ...(prefix === undefined ? [] : ['-d', `${prefix}/sbin/slurmstepd`])
]
