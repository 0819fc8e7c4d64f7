import type { Notice, Plan, Refusal } from '../../kit/plan/plan.ts'

/** Names of the reference, newest first; the older spellings are still in use. */
const prefixes = ['slurm-job.vk.io/', 'slurm-job.knoc.io/', 'job.vk.io/', 'job.knoc.io/']

const ours = [
  'flags',
  'flavor',
  'image-root',
  'singularity-mounts',
  'singularity-options',
  'mpi-flags',
  'pre-exec'
] as const
type Own = (typeof ours)[number]

/** Not read here, and what to do instead. */
const unread: Readonly<Record<string, string>> = {
  'enroot-mounts': 'Enroot gets the volumes of the pod; ask for a hostPath',
  'enroot-options': 'the options of Enroot are the site’s (containers.options)',
  'job-workdir': 'jobs live in the root of the plugin',
  'no-clean-workdir': 'the directory of a job is kept as long as the site says',
  'singularity-commands': 'no plugin reads it; what to run is the command of the container',
  'nfs-mode': 'NFS volumes are mounted as the site has them; ask for a hostPath'
}

export interface Annotation {
  /** As the pod has it, for messages. */
  readonly name: string
  readonly value: string
}

export interface SlurmAnnotations extends Partial<Record<Own, Annotation>> {
  readonly podIp?: Annotation
  readonly wstunnel?: Annotation
}

export const annotationField = (name: string): string => `metadata.annotations[${name}]`
export const refuseAnnotation = ({ name }: Annotation, message: string): Refusal => ({
  field: annotationField(name),
  message
})

/** What a pod says to Slurm, by the reference's names and their older spellings; the newest spelling wins. */
export function readAnnotations({ pod }: Plan): {
  readonly annotations: SlurmAnnotations
  readonly notices: readonly Notice[]
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
    notices: unknownNotices(Object.keys(pod.annotations))
  }
}

function unknownNotices(names: readonly string[]): Notice[] {
  return names.flatMap((name) => {
    const prefix = prefixes.find((each) => name.startsWith(each))
    if (prefix === undefined) return []
    const own = name.slice(prefix.length)
    if ((ours as readonly string[]).includes(own)) return []
    const why = unread[own.startsWith('nfs-') ? 'nfs-mode' : own] ?? `known are ${ours.join(', ')}`
    return [{ reason: 'AnnotationNotRead', message: `${name}: ${why}` }]
  })
}
