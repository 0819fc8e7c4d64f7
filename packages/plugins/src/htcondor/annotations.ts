import { annotationField, type Annotation } from '../kit/plan/annotations.ts'
import type { Notice, Plan } from '../kit/plan/plan.ts'

/** Names of the reference, newest first; the older spellings are still in use. */
const prefixes = ['htcondor-job.vk.io/', 'htcondor-job.knoc.io/', 'job.vk.io/', 'job.knoc.io/']

const known = [
  'requirements',
  'rank',
  'classads',
  'accounting-group',
  'concurrency-limits',
  'priority',
  'universe',
  'image-root',
  'singularity-mounts',
  'singularity-options'
] as const
export type AnnotationName = (typeof known)[number]
export type CondorAnnotations = Readonly<Partial<Record<AnnotationName, Annotation>>>

/** Documented by the reference, and read by it no more than here. */
const unread: Readonly<Record<string, string>> = {
  'singularity-commands': 'no plugin reads it; what to run is the command of the container'
}

/** What a pod says to HTCondor, by the reference's names and their older spellings; the newest spelling wins. */
export function readAnnotations({ pod }: Plan): {
  readonly annotations: CondorAnnotations
  readonly notices: readonly Notice[]
} {
  const entries = known.flatMap((own) => {
    const name = prefixes.map((prefix) => prefix + own).find((each) => (pod.annotations[each] ?? '').trim())
    return name === undefined ? [] : [[own, { name, value: pod.annotations[name]!.trim() }] as const]
  })
  const notices = Object.keys(pod.annotations).flatMap((name) => {
    const prefix = prefixes.find((each) => name.startsWith(each))
    const own = prefix && name.slice(prefix.length)
    if (own === undefined || (known as readonly string[]).includes(own)) return []
    const why = unread[own] ?? `known are ${known.join(', ')}`
    return [{ reason: 'AnnotationNotRead', message: `${annotationField(name)}: ${why}` }]
  })
  return { annotations: Object.fromEntries(entries), notices }
}
