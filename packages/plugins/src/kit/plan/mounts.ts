import type { VolumeMount } from '@interlink-ts/interlink-api/wire'
import type { Context, Placed } from './context.ts'
import { expand } from './expand.ts'
import { absolutePath, innerPath } from './paths.ts'
import type { PlannedMount } from './plan.ts'
import type { CompiledVolume } from './volumes.ts'

export function compileMounts(
  placed: Placed,
  volumes: ReadonlyMap<string, CompiledVolume>,
  env: ReadonlyMap<string, string>,
  context: Context
): PlannedMount[] {
  const { findings } = context
  const mounts: PlannedMount[] = []
  const targets = new Set<string>()
  placed.container.volumeMounts?.forEach((mount, index) => {
    const path = `${placed.path}.volumeMounts[${index}]`
    const volume = volumes.get(mount.name)
    if (!volume) {
      findings.refuse(`${path}.name`, `the pod has no volume ${mount.name}; add it to spec.volumes`)
      return
    }
    const mountPath = absolutePath(mount.mountPath.startsWith('/') ? mount.mountPath : `/${mount.mountPath}`)
    if (mountPath === undefined || mountPath === '/') {
      findings.refuse(`${path}.mountPath`, 'a mount path is below / and has neither ".." nor NUL; correct it')
      return
    }
    if (targets.has(mountPath)) {
      findings.refuse(`${path}.mountPath`, `${mountPath} is mounted twice; use another path`)
    }
    targets.add(mountPath)
    checkPropagation(mount, path, volume, context)
    if (typeof volume !== 'object') return
    const subPath = compileSubPath(mount, path, env, context)
    if (subPath === undefined) return
    if (volume.planned.kind === 'hostPath' && volume.readOnly && !mount.readOnly) {
      findings.refuse(
        `${path}.readOnly`,
        `${volume.planned.path} is open for reading only; set readOnly: true`
      )
      return
    }
    if (subPath !== '' && volume.planned.kind === 'files' && !holds(volume.planned.files, subPath)) {
      if (volume.planned.files.length > 0)
        findings.refuse(`${path}.subPath`, `the volume ${mount.name} has no ${subPath}`)
      else findings.notice('OptionalVolumeAbsent', 'not mounted, as its optional source is not there', path)
      return
    }
    mounts.push({
      volume: mount.name,
      mountPath,
      ...(subPath === '' ? {} : { subPath }),
      readOnly: volume.readOnly || (mount.readOnly ?? false)
    })
  })
  return mounts
}

/** The names of all volumes that some container mounts. */
export function mountedVolumes(placed: readonly Placed[]): Set<string> {
  return new Set(placed.flatMap(({ container }) => (container.volumeMounts ?? []).map((mount) => mount.name)))
}

function compileSubPath(
  mount: VolumeMount,
  path: string,
  env: ReadonlyMap<string, string>,
  { findings }: Context
): string | undefined {
  const field = `${path}.${mount.subPathExpr ? 'subPathExpr' : 'subPath'}`
  let missing: string | undefined
  const raw = mount.subPathExpr
    ? expand(mount.subPathExpr, (name) => {
        const value = env.get(name)
        if (value === undefined) missing = name
        return value
      })
    : (mount.subPath ?? '')
  if (missing !== undefined) {
    findings.refuse(field, `the container has no environment variable ${missing}; define it`)
    return undefined
  }
  const inner = innerPath(raw)
  if (inner === undefined) {
    findings.refuse(field, `${JSON.stringify(raw)} leaves the volume; use a relative path without ".."`)
  }
  return inner
}

function checkPropagation(
  mount: VolumeMount,
  path: string,
  volume: CompiledVolume,
  { findings }: Context
): void {
  if (mount.mountPropagation === 'Bidirectional') {
    findings.refuse(`${path}.mountPropagation`, 'Bidirectional needs a privileged container; remove it')
  } else if (mount.mountPropagation === 'HostToContainer') {
    findings.notice('MountPropagation', 'later mounts of the host do not appear', `${path}.mountPropagation`)
  }
  const recursive = (mount as { recursiveReadOnly?: string }).recursiveReadOnly
  if (recursive === 'Enabled' && typeof volume === 'object' && volume.planned.kind === 'hostPath') {
    findings.refuse(`${path}.recursiveReadOnly`, 'cannot be promised for a host path; use IfPossible')
  }
}

function holds(files: readonly { path: string }[], path: string): boolean {
  return files.some((file) => file.path === path || file.path.startsWith(`${path}/`))
}
