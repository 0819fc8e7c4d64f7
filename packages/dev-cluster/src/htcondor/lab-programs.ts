/** Where the programs of a lab are: this machine's packages, or an HTCondor of another place. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const programs = [
  'condor_collector',
  'condor_negotiator',
  'condor_schedd',
  'condor_startd',
  'condor_submit',
  'condor_q',
  'condor_token_create'
]

/** Of whoever runs them; `prefix` is HTCondor's RELEASE_DIR. */
export function pathOf(prefix?: string): string {
  const system = `/usr/local/sbin:/usr/sbin:/sbin:${process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin'}`
  return prefix === undefined ? system : `${prefix}/bin:${prefix}/sbin:${system}`
}

/** The first of PATH that has a program of that name. */
export const findProgram = (name: string, prefix?: string): string | undefined =>
  pathOf(prefix)
    .split(':')
    .map((dir) => join(dir, name))
    .find((path) => existsSync(path))

/** Why there can be no lab here, or undefined. */
export function htcondorMissing(prefix?: string): string | undefined {
  if (prefix !== undefined) {
    const absent = ['bin/condor_submit', 'sbin/condor_schedd', 'sbin/condor_startd'].find(
      (name) => !existsSync(join(prefix, name))
    )
    return absent === undefined
      ? undefined
      : `there is no ${join(prefix, absent)}; ${prefix} is no RELEASE_DIR of an HTCondor`
  }
  const absent = programs.filter((program) => findProgram(program) === undefined)
  return absent.length === 0
    ? undefined
    : `${absent.join(', ')} missing; install HTCondor, or say where it is`
}

export interface HtcondorPlaces {
  readonly release: string
  readonly lib: string
  readonly libexec: string
}

/** Distributions and HTCondor's own tarball differ in what is below `lib` and `libexec`. */
export function placesOf(prefix = '/usr'): HtcondorPlaces {
  const first = (...names: string[]): string => {
    const found = names.find((name) => existsSync(join(prefix, name)))
    return join(prefix, found ?? names[0]!)
  }
  return {
    release: prefix,
    lib: first('lib/condor', 'lib64/condor', 'lib'),
    libexec: first('libexec/condor', 'libexec')
  }
}
