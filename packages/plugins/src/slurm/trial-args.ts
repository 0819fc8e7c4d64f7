import { flagText } from './annotations/parse-flags.ts'
import type { PartitionFacts } from './cluster-facts.ts'
import { flavorFlags } from './flavors.ts'
import { mergeFlags } from './merge-flags.ts'
import type { SlurmOptions } from './options.ts'
import { limitTime } from './partition-limits.ts'

/**
 * What the test job of `interlink doctor` is submitted with: as a pod without annotations, with a minute more than it
 * stays for those who try to reach it (s), or what its partition gives.
 */
export function trialArgs(
  { batch }: Pick<SlurmOptions, 'batch'>,
  lingerSeconds: number,
  partitions: readonly PartitionFacts[]
): string[] {
  const flavor = batch.flavors.find(({ name }) => name === batch.defaultFlavor)
  const time = String(1 + Math.ceil(lingerSeconds / 60))
  const own = { 'job-name': 'interlink-doctor', output: '/dev/null', time, chdir: '/' }
  const flags = Object.entries(own).map(([name, value]) => ({ name, value, written: `--${name}=${value}` }))
  return limitTime(mergeFlags(flags, flavor ? flavorFlags(flavor) : []), true, partitions).flags.map(flagText)
}
