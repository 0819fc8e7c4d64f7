import type { Check } from '../backend.ts'
import type { NodeReport } from './trial.ts'

/** Clocks that are further apart, in seconds, are told of; munge(7) refuses at 300. */
const maxSkewSeconds = 30

interface Site {
  readonly containers: { readonly runtime: string; readonly tool?: string }
  /** The option in which the site loads what it needs. */
  readonly preamble: string
  /** Of the job directories, as the machines see it. */
  readonly root: string
  readonly directories: Pick<Check, 'name' | 'fix'>
}

/** What a trial has found on its machine. Pure. */
export function judgeTrial(
  { facts, missing }: NodeReport,
  { containers, preamble, root, directories }: Site
): Check[] {
  const shared = !missing.has('directory')
  const { runtime, tool = runtime } = containers
  const node = facts.host ?? 'the compute node'
  const checks: Check[] = [
    {
      ...directories,
      ok: shared,
      detail: shared
        ? `${root}: written by the job on ${node}, read here`
        : `${root}: ${node} does not see what is written here`
    },
    {
      name: 'sessions',
      ok: !missing.has('sessions'),
      detail: missing.has('sessions') ? `${node} has neither setsid nor perl` : 'setsid or perl',
      fix: 'ask the site for util-linux on the compute nodes'
    }
  ]
  if (facts.userns !== undefined)
    checks.push({
      name: 'user namespaces',
      // A runtime that is setuid root does without.
      ok: true,
      detail:
        facts.userns === 'yes' ? `on ${node}` : `${facts.userns}; the runtime needs a setuid installation`
    })
  if (runtime === 'host') return checks
  const lacks = missing.has('runtime')
  const fails = missing.has('container')
  checks.push({
    name: runtime,
    ok: !lacks && !fails,
    detail: lacks
      ? `${tool} does not run on ${node}: ${facts.runtime ?? 'no word why'}`
      : fails
        ? `a container does not start on ${node}: ${facts.container ?? 'no word why'}`
        : `${facts.version ?? runtime}; a container has run on ${node}`,
    fix: lacks
      ? `name its path in options.containers.tool, or load it in ${preamble} (module load apptainer)`
      : 'see its words; user namespaces or a setuid installation are needed, and options.containers.options are given'
  })
  return checks
}

/** The job has run between its submission and now: only what lies outside shows that its clock is another. */
export function checkClock({ facts }: NodeReport, submittedAt: number): Check[] {
  const there = Number(facts.clock)
  if (!there) return []
  const before = submittedAt / 1000 - there - 1
  const after = there - Date.now() / 1000
  return [skewCheck(facts.host ?? 'compute node', Math.max(0, before, after))]
}

export function skewCheck(where: string, seconds: number): Check {
  const ok = seconds <= maxSkewSeconds
  return {
    name: `clock of ${where}`,
    ok,
    detail: ok
      ? `within ${maxSkewSeconds} s of the plugin's`
      : `at least ${Math.round(seconds)} s from the plugin's`,
    fix: 'set the clocks by NTP (chrony, systemd-timesyncd); munge refuses at 5 minutes'
  }
}
