import { parseQuantity, toUnits, type Volume } from '@interlink-ts/interlink-api/wire'
import { dnsLabel, type Context } from './context.ts'
import { keyedFiles, projectedFiles, type Sent } from './files.ts'
import { absolutePath, isBelow } from './paths.ts'
import type { PlannedVolume } from './plan.ts'

const hostPathTypes = [
  '',
  'DirectoryOrCreate',
  'Directory',
  'FileOrCreate',
  'File',
  'Socket',
  'CharDevice',
  'BlockDevice'
]

/** A volume of the plan, or what only the mounts need to know of it. */
export type CompiledVolume =
  { readonly planned: PlannedVolume; readonly readOnly: boolean } | 'refused' | 'unused'

/** The pod's volumes by name. Content is asked for only where a container mounts it. */
export function compileVolumes(
  sent: Sent,
  mounted: ReadonlySet<string>,
  context: Context
): Map<string, CompiledVolume> {
  const volumes = new Map<string, CompiledVolume>()
  let bytes = 0
  context.pod.spec.volumes?.forEach((volume, index) => {
    const path = `spec.volumes[${index}]`
    if (!dnsLabel.test(volume.name)) {
      context.findings.refuse(`${path}.name`, 'a volume name is a DNS label; rename it')
    } else if (volumes.has(volume.name)) {
      context.findings.refuse(`${path}.name`, `there are two volumes ${volume.name}; rename one`)
    }
    const compiled = compileVolume(volume, path, mounted.has(volume.name), sent, context)
    volumes.set(volume.name, compiled)
    if (typeof compiled === 'object' && compiled.planned.kind === 'files') {
      bytes += compiled.planned.files.reduce((sum, file) => sum + (file.base64.length * 3) / 4, 0)
    }
  })
  if (bytes > context.policy.maxFilesBytes) {
    context.findings.refuse(
      'spec.volumes',
      `the files are larger than ${context.policy.maxFilesBytes} bytes; send less`
    )
  }
  return volumes
}

function compileVolume(
  volume: Volume,
  path: string,
  isMounted: boolean,
  sent: Sent,
  context: Context
): CompiledVolume {
  const { name } = volume
  const files = (list: Parameters<typeof plannedFiles>[1], secret: boolean): CompiledVolume =>
    list ? { planned: plannedFiles(name, list, secret), readOnly: true } : 'refused'
  const { configMap, secret, projected, downwardAPI, emptyDir, hostPath, name: _, ...others } = volume
  const [other] = Object.keys(others)
  if (other) return refuseSource(other, volume, path, context)
  if ([configMap, secret, projected, downwardAPI, emptyDir, hostPath].filter(Boolean).length > 1) {
    context.findings.refuse(path, `the volume ${name} has more than one source; leave one`)
    return 'refused'
  }
  if (hostPath) return compileHostPath(name, hostPath, `${path}.hostPath`, context)
  if (!isMounted) return 'unused'
  if (configMap) return files(keyedFiles(configMap, 'ConfigMap', `${path}.configMap`, sent, context), false)
  if (secret) {
    const source = { ...secret, name: secret.secretName }
    return files(keyedFiles(source, 'Secret', `${path}.secret`, sent, context), true)
  }
  if (projected || downwardAPI) {
    const field = `${path}.${projected ? 'projected' : 'downwardAPI'}`
    const content = projectedFiles(volume, field, sent, context)
    return files(content?.files, content?.secret ?? false)
  }
  return compileEmptyDir(name, emptyDir ?? {}, `${path}.emptyDir`, context)
}

function plannedFiles(
  name: string,
  files: Extract<PlannedVolume, { kind: 'files' }>['files'] | undefined,
  secret: boolean
): PlannedVolume {
  return { name, kind: 'files', files: files ?? [], secret }
}

function compileEmptyDir(
  name: string,
  source: NonNullable<Volume['emptyDir']>,
  path: string,
  { findings, policy }: Context
): CompiledVolume {
  const medium = source.medium ?? ''
  if (medium !== '' && medium !== 'Memory') {
    findings.refuse(`${path}.medium`, `medium ${medium} is not there; use "" or Memory`)
    return 'refused'
  }
  const size = source.sizeLimit === undefined ? undefined : parseQuantity(source.sizeLimit)
  if (source.sizeLimit !== undefined && (size === undefined || size < 0n)) {
    findings.refuse(`${path}.sizeLimit`, `${JSON.stringify(source.sizeLimit)} is no size; write e.g. 500Mi`)
    return 'refused'
  }
  if (size && !policy.backend.sizeLimits) {
    findings.notice('SizeLimitNotHeld', 'the size of the directory is not limited', `${path}.sizeLimit`)
  }
  return {
    planned: {
      name,
      kind: 'emptyDir',
      memory: medium === 'Memory',
      ...(size ? { sizeBytes: toUnits(size) } : {})
    },
    readOnly: false
  }
}

function compileHostPath(
  name: string,
  source: NonNullable<Volume['hostPath']>,
  path: string,
  { findings, policy }: Context
): CompiledVolume {
  const type = source.type ?? ''
  if (!hostPathTypes.includes(type)) {
    findings.refuse(
      `${path}.type`,
      `${type} is no hostPath type; use one of ${hostPathTypes.slice(1).join(', ')}`
    )
    return 'refused'
  }
  const clean = absolutePath(source.path)
  if (clean === undefined) {
    findings.refuse(`${path}.path`, 'a host path is absolute and has no ".."; correct it')
    return 'refused'
  }
  const allowed = policy.hostPaths.filter((entry) => isBelow(clean, absolutePath(entry.path) ?? '\0'))
  if (allowed.length === 0) {
    const offer = policy.hostPaths.map((entry) => entry.path).join(', ')
    const hint = offer
      ? `this site allows ${offer}`
      : 'this site allows none; use an emptyDir, configMap or secret'
    findings.refuse(`${path}.path`, `host path ${clean} is not open to pods; ${hint}`)
    return 'refused'
  }
  return {
    planned: { name, kind: 'hostPath', path: clean, type },
    readOnly: allowed.every((entry) => entry.readOnly)
  }
}

function refuseSource(source: string, volume: Volume, path: string, { findings }: Context): CompiledVolume {
  const claim = volume.persistentVolumeClaim
  const what = claim
    ? `the claim ${claim.claimName} has no place on this node`
    : `volumes of kind ${source} cannot be mounted here`
  findings.refuse(
    `${path}.${source}`,
    `${what}; use an emptyDir, configMap, secret or a host path that the site allows`
  )
  return 'refused'
}
