import { annotationField, type Annotation } from '../../kit/plan/annotations.ts'
import type { Notice, Plan, Refusal } from '../../kit/plan/plan.ts'

/** Names of the reference, newest first; the older spellings are still in use. */
const prefixes = ['slurm-job.vk.io/', 'slurm-job.knoc.io/', 'job.vk.io/', 'job.knoc.io/']

const ours = [
  'flags',
  'flavor',
  'image-root',
  'singularity-mounts',
  'singularity-options',
  'enroot-mounts',
  'enroot-options',
  'mpi-flags',
  'pre-exec'
] as const
type Own = (typeof ours)[number]

/** Documented by the reference, and read by it no more than here. */
const unread: Readonly<Record<string, string>> = {
  'singularity-commands': 'no plugin reads it; what to run is the command of the container'
}
/** What the pod would lose in silence: why, and what to do instead. */
const declined: Readonly<Record<string, string>> = {
  'job-workdir':
    'jobs live in the root of the plugin; remove it, and write to a hostPath volume what is to stay',
  'no-clean-workdir':
    'the directory of a job goes with its pod; remove it, and write to a hostPath volume what is to stay',
  'nfs-mode': 'pods mount no NFS here; remove it, and use a hostPath volume of what the site has mounted'
}

export interface SlurmAnnotations extends Partial<Record<Own, Annotation>> {
  readonly podIp?: Annotation
  readonly wstunnel?: Annotation
}

/** What a pod says to Slurm, by the reference's names and their older spellings; the newest spelling wins. */
export function readAnnotations({ pod }: Plan): {
  readonly annotations: SlurmAnnotations
  readonly notices: readonly Notice[]
  readonly refusals: readonly Refusal[]
} {
  const found = (name: string): Annotation | undefined => {
    const value = Object.hasOwn(pod.annotations, name) ? pod.annotations[name] : undefined
    return value === undefined || value.trim() === '' ? undefined : { name, value }
  }
  const entries = ours.flatMap((own) => {
    const annotation = prefixes.map((prefix) => found(prefix + own)).find(Boolean)
    return annotation ? [[own, annotation] as const] : []
  })
  const podIp = found('interlink.eu/pod-ip')
  const wstunnel = found('interlink.eu/wstunnel-client-commands')
  return {
    annotations: {
      ...(Object.fromEntries(entries) as Partial<Record<Own, Annotation>>),
      ...(podIp ? { podIp } : {}),
      ...(wstunnel ? { wstunnel } : {})
    },
    notices: unknownNotices(Object.keys(pod.annotations)),
    refusals: Object.keys(pod.annotations).flatMap((name) => {
      const why = declined[ownName(name) ?? '']
      return why === undefined ? [] : [{ field: annotationField(name), message: why }]
    })
  }
}

/** Behind the prefix; the reference has a family of names for NFS. */
function ownName(name: string): string | undefined {
  const prefix = prefixes.find((each) => name.startsWith(each))
  const own = prefix && name.slice(prefix.length)
  return own?.startsWith('nfs-') ? 'nfs-mode' : own
}

function unknownNotices(names: readonly string[]): Notice[] {
  return names.flatMap((name) => {
    const own = ownName(name)
    if (own === undefined || (ours as readonly string[]).includes(own) || declined[own]) return []
    const why = unread[own] ?? `known are ${ours.join(', ')}`
    return [{ reason: 'AnnotationNotRead', message: `${name}: ${why}` }]
  })
}
