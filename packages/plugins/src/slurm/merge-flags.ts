import type { Flag } from './annotations/parse-flags.ts'
import { gpuFlags, mergeGres, readGres, writeGres } from './gres.ts'

/** Of each group sbatch takes one flag: a stronger source replaces every one of a weaker. */
const groups: readonly (readonly string[])[] = [
  ['mem', 'mem-per-cpu', 'mem-per-gpu'],
  ['cpus-per-task', 'cpus-per-gpu'],
  ['requeue', 'no-requeue'],
  ['exclusive', 'oversubscribe']
]

/** Flags of a weaker and a stronger source, each at most once; of one source the last of a name counts. */
export function mergeFlags(weaker: readonly Flag[], stronger: readonly Flag[]): Flag[] {
  const merged = new Map(weaker.map((flag) => [flag.name, flag]))
  for (const flag of stronger) {
    const before = weaker.findLast(({ name }) => name === flag.name)
    for (const name of groups.find((names) => names.includes(flag.name)) ?? []) merged.delete(name)
    merged.set(flag.name, flag.name === 'gres' && before ? withGres(before, flag) : flag)
  }
  return [...merged.values()]
}

/**
 * What the pod asks for over what it and the site have written as flags. GPUs asked for twice would be given twice:
 * a `--gpus` of the same number stays and the GRES goes; of another number it goes, which is told.
 */
export function mergeRequest(
  written: readonly Flag[],
  requested: readonly Flag[]
): { readonly flags: Flag[]; readonly notices: string[] } {
  const gres = requested.find(({ name }) => name === 'gres')
  const asked = readGres(gres?.value ?? '').find(({ name }) => name === 'gpu')
  const others = written.filter(({ name }) => gpuFlags.includes(name))
  if (!asked || others.length === 0)
    return { flags: mergeFlags(written, requested), notices: contradictions(written, gres) }
  if (others.some(({ value = '' }) => value.replace(/^.*:/, '') === asked.count))
    return { flags: mergeFlags(written, requested.flatMap(withoutGpu)), notices: [] }
  const kept = written.filter((flag) => !others.includes(flag))
  return {
    flags: mergeFlags(kept, requested),
    notices: others.map((flag) => `${flag.written}: the pod asks for ${writeGres([asked])}, which is used`)
  }
}

function withGres(before: Flag, after: Flag): Flag {
  const value = writeGres(mergeGres(readGres(before.value ?? ''), readGres(after.value ?? '')))
  return { name: 'gres', value, written: `--gres=${value}` }
}

function withoutGpu(flag: Flag): Flag[] {
  if (flag.name !== 'gres') return [flag]
  const rest = readGres(flag.value ?? '').filter(({ name }) => name !== 'gpu')
  return rest.length === 0 ? [] : [{ ...flag, value: writeGres(rest) }]
}

function contradictions(written: readonly Flag[], requested: Flag | undefined): string[] {
  const before = written.findLast(({ name }) => name === 'gres')
  if (!before || !requested) return []
  const earlier = readGres(before.value ?? '')
  return readGres(requested.value ?? '').flatMap((entry) => {
    const same = earlier.find(({ name }) => name === entry.name)
    return same && same.count !== entry.count
      ? [`${before.written}: the pod asks for ${writeGres([entry])}, which is used`]
      : []
  })
}
