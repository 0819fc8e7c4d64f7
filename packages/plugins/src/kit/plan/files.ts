import type { ConfigMap, KeyToPath, RetrievedPodData, Secret, Volume } from '@interlink-ts/interlink-api/wire'
import type { Context } from './context.ts'
import { configMapEntries, secretEntries } from './entries.ts'
import { isInnerPath } from './paths.ts'
import type { PlannedFile } from './plan.ts'

const DEFAULT_MODE = 0o644

/** Everything the node sent, whichever container it was attached to. */
export interface Sent {
  readonly configMaps: ReadonlyMap<string, ConfigMap>
  readonly secrets: ReadonlyMap<string, Secret>
  /** By the name of the pod's volume. */
  readonly projected: ReadonlyMap<string, ConfigMap>
}

export function collectSent(data: RetrievedPodData): Sent {
  const named = <T extends { metadata: { name?: string } }>(objects: T[]) =>
    new Map(objects.map((object) => [object.metadata.name ?? '', object]))
  return {
    configMaps: named(data.container.flatMap((container) => container.configMaps)),
    secrets: named(data.container.flatMap((container) => container.secrets)),
    projected: named(data.container.flatMap((container) => container.projectedvolumemaps))
  }
}

interface KeyedSource {
  readonly name?: string
  readonly optional?: boolean
  readonly defaultMode?: number
  readonly items?: readonly KeyToPath[]
}

/** The files of a configMap or secret volume. Undefined after a refusal. */
export function keyedFiles(
  source: KeyedSource,
  what: 'ConfigMap' | 'Secret',
  path: string,
  sent: Sent,
  context: Context
): PlannedFile[] | undefined {
  const { findings } = context
  const name = source.name ?? ''
  const object =
    what === 'ConfigMap'
      ? entriesOf(sent.configMaps.get(name), configMapEntries)
      : entriesOf(sent.secrets.get(name), secretEntries)
  if (!object) {
    if (source.optional) return []
    findings.refuse(path, `the node has not sent the ${what} ${name}; create it, or make it optional`)
    return undefined
  }
  const mode = source.defaultMode ?? DEFAULT_MODE
  if (!source.items?.length) {
    return checkFiles(
      [...object].map(([key, base64]) => ({ path: key, mode, base64 })),
      path,
      context
    )
  }
  const files: PlannedFile[] = []
  source.items.forEach((item, index) => {
    const base64 = object.get(item.key)
    if (base64 !== undefined) files.push({ path: item.path, mode: item.mode ?? mode, base64 })
    else if (!source.optional) {
      findings.refuse(
        `${path}.items[${index}].key`,
        `the ${what} ${name} has no key ${item.key}; correct the key`
      )
    }
  })
  return checkFiles(files, path, context)
}

/**
 * The files of a projected or downwardAPI volume: content as the node resolved it, modes from the volume's
 * sources, the later source winning a path as in the API.
 */
export function projectedFiles(
  volume: Volume,
  path: string,
  sent: Sent,
  context: Context
): { files: PlannedFile[]; secret: boolean } | undefined {
  const { findings } = context
  const expected = volume.projected ? projectedItems(volume, path) : downwardItems(volume, path)
  const secret = (volume.projected?.sources ?? []).some(
    (source) => source.secret ?? source.serviceAccountToken
  )
  const content = entriesOf(sent.projected.get(volume.name), configMapEntries)
  if (!content) {
    if (volume.name.startsWith('kube-api-access-')) {
      findings.notice('ServiceAccountNotGiven', 'the node gives no service account token to jobs', path)
    } else if (expected.required) {
      findings.refuse(path, `the node has not sent the content of the volume ${volume.name}`)
      return undefined
    }
    return { files: [], secret }
  }
  const modes = new Map<string, number | undefined>()
  for (const item of expected.items) {
    modes.set(item.path, item.mode)
    if (!item.optional && !content.has(item.path)) {
      findings.refuse(item.field, `the node has not resolved ${item.path}; remove the item`)
    }
  }
  const mode = (volume.projected ?? volume.downwardAPI)?.defaultMode ?? DEFAULT_MODE
  const files = checkFiles(
    [...content].map(([file, base64]) => ({ path: file, mode: modes.get(file) ?? mode, base64 })),
    path,
    context
  )
  return files && { files, secret }
}

interface ExpectedItem {
  readonly path: string
  readonly mode?: number
  readonly optional: boolean
  readonly field: string
}

function projectedItems(volume: Volume, path: string): { items: ExpectedItem[]; required: boolean } {
  const items: ExpectedItem[] = []
  let required = false
  volume.projected?.sources?.forEach((source, index) => {
    const field = `${path}.sources[${index}]`
    const keyed = source.configMap ?? source.secret
    const optional =
      keyed?.optional ?? (source.clusterTrustBundle as { optional?: boolean } | undefined)?.optional ?? false
    required ||= !optional
    keyed?.items?.forEach((item, at) => {
      const kind = source.configMap ? 'configMap' : 'secret'
      items.push({ ...item, optional, field: `${field}.${kind}.items[${at}]` })
    })
    source.downwardAPI?.items?.forEach((item, at) => {
      items.push({ path: item.path, mode: item.mode, optional, field: `${field}.downwardAPI.items[${at}]` })
    })
    for (const kind of ['serviceAccountToken', 'clusterTrustBundle', 'podCertificate'] as const) {
      for (const file of singleFiles((source as Record<string, unknown>)[kind])) {
        items.push({ path: file, optional, field: `${field}.${kind}` })
      }
    }
  })
  return { items, required }
}

function singleFiles(source: unknown): string[] {
  const named = (source ?? {}) as Record<string, unknown>
  return ['path', 'keyPath', 'certificateChainPath', 'credentialBundlePath']
    .map((key) => named[key])
    .filter((file): file is string => typeof file === 'string')
}

function downwardItems(volume: Volume, path: string): { items: ExpectedItem[]; required: boolean } {
  const items = (volume.downwardAPI?.items ?? []).map((item, at): ExpectedItem => ({
    path: item.path,
    mode: item.mode,
    optional: false,
    field: `${path}.items[${at}]`
  }))
  return { items, required: items.length > 0 }
}

function checkFiles(files: PlannedFile[], path: string, { findings }: Context): PlannedFile[] | undefined {
  const known = findings.refusals.length
  const paths = new Set(files.map((file) => file.path))
  for (const file of files) {
    if (!isInnerPath(file.path)) {
      findings.refuse(
        path,
        `${JSON.stringify(file.path)} leaves the volume; use a relative path without ".."`
      )
    } else if (parents(file.path).some((parent) => paths.has(parent))) {
      findings.refuse(path, `${file.path} lies below a path that is a file; use another path`)
    }
    if (!Number.isInteger(file.mode) || file.mode < 0 || file.mode > 0o777) {
      findings.refuse(path, `the mode of ${file.path} is not between 0 and 0777 (decimal 511)`)
    }
  }
  return findings.refusals.length === known ? files : undefined
}

function parents(path: string): string[] {
  const parts = path.split('/')
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'))
}

function entriesOf<T>(
  object: T | undefined,
  read: (object: T) => Map<string, string>
): Map<string, string> | undefined {
  return object === undefined ? undefined : read(object)
}
