import { namePolicy, refusedByPolicy, type NamePolicy } from '../../kit/plan/name-policy.ts'
import type { Flag } from './parse-flags.ts'

/** What pods may say to sbatch; what would break or endanger is refused whatever stands here. */
export const FlagPolicy = namePolicy('long names of the flags')
export type FlagPolicy = NamePolicy

const otherAccount = 'whose account a job runs under is decided by the site'
const environment = 'the environment of a job is made of the pod alone'
const answer = 'it changes what sbatch answers to the plugin'
const script = 'what runs is the pod itself'
const siteFile = 'it reads a file of the machine that submits'

/** Refused everywhere, and why. */
export const forbiddenFlags: ReadonlyMap<string, string> = new Map([
  ['wrap', script],
  ['container', script],
  ['container-id', script],
  ['array', 'one pod is one job; use an Indexed Job'],
  ['comment', 'the job is found by its comment'],
  ['clusters', 'the job would be looked for on another cluster'],
  ['uid', otherAccount],
  ['gid', otherAccount],
  ['export', environment],
  ['export-file', environment],
  ['get-user-env', environment],
  ['propagate', environment],
  ['bbf', siteFile],
  ['nodefile', siteFile],
  ...['parsable', 'test-only', 'wait', 'help', 'usage', 'version', 'autocomplete'].map(
    (name) => [name, answer] as const
  )
])

/** The flags that a pod may not set here, each with its rule: `--wrap=…: what runs is the pod itself; remove it`. */
export const refuseFlags = (flags: readonly Flag[], policy: FlagPolicy, namespace: string): string[] =>
  flags.flatMap((flag) => {
    const why =
      forbiddenFlags.get(flag.name) ?? refusedByPolicy(flag, policy, namespace, (name) => `--${name}`)
    return why === undefined ? [] : [`${flag.written}: ${why}; remove it`]
  })
