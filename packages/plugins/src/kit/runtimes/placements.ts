import { join } from 'node:path'
import type { Plan, PlannedContainer } from '../plan/plan.ts'

/** Something that is to appear at a path of the container. */
export interface Placement {
  /** Absolute, on the machine that runs the job. */
  readonly source: string
  readonly subPath?: string
  /** As the pod has it. */
  readonly path: string
  readonly readOnly: boolean
}

/** Where the volumes of a container are, and where they appear. Of a hostPath it is the machine's own directory. */
export function volumePlacements(plan: Plan, dir: string, container: PlannedContainer): Placement[] {
  const volumes = new Map(
    plan.volumes.map((volume) => [
      volume.name,
      volume.kind === 'hostPath' ? volume.path : join(dir, 'volumes', volume.name)
    ])
  )
  return container.mounts.map(({ volume, mountPath, subPath, readOnly }) => ({
    source: volumes.get(volume)!,
    path: mountPath,
    readOnly,
    ...(subPath ? { subPath } : {})
  }))
}

/** Volumes, and what a pod finds at a path of its own unless a volume is there. */
export function withExtra(mounts: readonly Placement[], extra: readonly Placement[]): Placement[] {
  const taken = new Set(mounts.map(({ path }) => path))
  return [...mounts, ...extra.filter(({ path }) => !taken.has(path))]
}

/**
 * The value of `--mount` of Podman and Apptainer, which both read as a line of CSV, RFC 4180.
 * `names` are their words for source and target.
 */
export function bindMount(
  { source, path, readOnly }: Pick<Placement, 'source' | 'path' | 'readOnly'>,
  names: readonly [source: string, target: string]
): string {
  return ['type=bind', field(names[0], source), field(names[1], path), ...(readOnly ? ['ro'] : [])].join(',')
}

const field = (name: string, value: string): string =>
  /[",\n]/.test(value) ? `"${name}=${value.replaceAll('"', '""')}"` : `${name}=${value}`
