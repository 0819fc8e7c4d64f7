import { readFile } from 'node:fs/promises'
import { text as readAll } from 'node:stream/consumers'
import { loadAll } from 'js-yaml'
import { parseAllDocuments, type Document } from 'yaml'
import { whyUnreadable } from '@interlink-ts/interlink-api/config'
import { decode, Pod, ConfigMap, Secret } from '@interlink-ts/interlink-api/wire'
import { UsageError } from './errors.ts'

interface Manifest {
  readonly kind?: string
  /** Of a List. */
  readonly items?: readonly Manifest[]
  readonly metadata?: Record<string, unknown>
  readonly spec?: Record<string, unknown>
}

export interface Manifests {
  readonly pod: Pod
  readonly configMaps: readonly ConfigMap[]
  readonly secrets: readonly Secret[]
}

/** The text of a file, `-` being standard input. */
export async function readInput(file: string): Promise<string> {
  try {
    return file === '-' ? await readAll(process.stdin) : await readFile(file, 'utf8')
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${whyUnreadable(error)}`)
  }
}

/** The first pod of a YAML text, or the one that a Job, Deployment, ReplicaSet, StatefulSet, DaemonSet or CronJob makes. */
export const readPod = (text: string, file: string): Pod => readManifests(text, file).pod

/** The pod of a YAML text, with the ConfigMaps and Secrets that stand beside it. */
export function readManifests(text: string, file: string): Manifests {
  const manifests = parseManifests(text, file).flatMap(items)
  const pod = manifests.map(podOf).find((found) => found !== undefined)
  if (!pod)
    throw new UsageError(
      `${file}: no pod in it; expected kind Pod, or one that has a pod template, found ${manifests.map((m) => m.kind ?? 'nothing').join(', ') || 'nothing'}`
    )
  const named = <T>(kind: string, schema: Parameters<typeof decode>[0]): T[] =>
    manifests.filter((manifest) => manifest.kind === kind).map((manifest) => decode(schema, manifest) as T)
  try {
    return {
      pod: decode(Pod, pod) as Pod,
      configMaps: named<ConfigMap>('ConfigMap', ConfigMap),
      secrets: named<Secret>('Secret', Secret).map(foldStringData)
    }
  } catch (error) {
    throw new UsageError(`${file}: ${(error as Error).message}`, { cause: error })
  }
}

const items = (manifest: Manifest): readonly Manifest[] =>
  manifest.kind === 'List' ? (manifest.items ?? []) : [manifest]

function parseManifests(text: string, file: string): Manifest[] {
  const documents = parseAllDocuments(text) as Document.Parsed[]
  const error = documents.flatMap((document) => document.errors)[0]
  if (!error) return documents.map((document) => (document.toJS() ?? {}) as Manifest)
  try {
    // kubectl takes folded strings that are indented less than YAML 1.2 asks, and so does this parser.
    return loadAll(text).map((manifest) => (manifest ?? {}) as Manifest)
  } catch {
    throw new UsageError(
      `${file}:${error.linePos?.[0].line ?? 1}: ${error.message.split('\n')[0]!.replace(/ at line .*/, '')}`
    )
  }
}

function podOf(manifest: Manifest): Manifest | undefined {
  if (manifest.kind === 'Pod') return manifest
  const spec = manifest.kind === 'CronJob' ? dig(manifest.spec, 'jobTemplate', 'spec') : manifest.spec
  const template = dig(spec, 'template') as Manifest | undefined
  if (!template?.spec) return undefined
  const name = String(manifest.metadata?.name ?? manifest.kind?.toLowerCase() ?? 'pod')
  return {
    kind: 'Pod',
    ...template,
    metadata: { ...template.metadata, name, namespace: manifest.metadata?.namespace }
  }
}

const dig = (value: unknown, ...path: string[]): Record<string, unknown> | undefined =>
  path.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], value) as
    Record<string, unknown> | undefined

const foldStringData = (secret: Secret): Secret => ({
  ...secret,
  data: {
    ...secret.data,
    ...Object.fromEntries(
      Object.entries(secret.stringData ?? {}).map(([key, text]) => [
        key,
        Buffer.from(text).toString('base64')
      ])
    )
  }
})
