/**
 * The contents of a pod's volumes as the interLink protocol sends them: ConfigMaps and Secrets whole, projected and
 * downwardAPI volumes as one pseudo ConfigMap each, named after the volume.
 */
import type { ConfigMap, KeyToPath, ProjectedSource, Secret, Volume } from '@interlink-ts/interlink-api/wire'
import { fieldValue, resourceValue } from './fields.ts'
import { tokenKey, type ReferenceKind } from './references.ts'
import { keyBytes, optionalMissing, type Findings, type Resolution } from './resolution.ts'
import { strip } from './strip.ts'

export interface VolumeData {
  readonly configmaps: ConfigMap[]
  readonly secrets: Secret[]
  readonly projectedvolumesmaps: ConfigMap[]
}

const rootCa = 'kube-root-ca.crt'

export function resolveVolumes(from: Resolution, findings: Findings, projected = true): VolumeData {
  const configmaps = new Map<string, ConfigMap>()
  const secrets = new Map<string, Secret>()
  const maps: ConfigMap[] = []
  for (const volume of from.pod.spec.volumes ?? []) {
    const { configMap, secret } = volume
    if (configMap?.name) {
      const object = find('ConfigMap', configMap.name, volume.name, configMap) as ConfigMap | undefined
      if (object) configmaps.set(configMap.name, strip(object))
    }
    if (secret?.secretName) {
      const object = find('Secret', secret.secretName, volume.name, secret) as Secret | undefined
      if (object) secrets.set(secret.secretName, strip(object))
    }
    const sources = projectedSources(volume)
    if (sources && projected) maps.push(project(volume.name, sources))
  }
  return {
    configmaps: [...configmaps.values()],
    secrets: [...secrets.values()],
    projectedvolumesmaps: maps
  }

  function find(
    kind: ReferenceKind,
    name: string,
    volume: string,
    source: { optional?: boolean; items?: KeyToPath[] }
  ): ConfigMap | Secret | undefined {
    const object = kind === 'ConfigMap' ? from.configMaps.get(name) : from.secrets.get(name)
    if (!object) {
      if (source.optional) findings.remarks.push(optionalMissing(kind, name))
      else findings.missing.push({ kind, name, use: { volume } })
      return undefined
    }
    for (const { key } of source.items ?? []) {
      if (keyBytes(kind, object, key)) continue
      if (source.optional) findings.remarks.push(optionalMissing(kind, name, key))
      else findings.missing.push({ kind, name, key, use: { volume } })
    }
    return object
  }

  function project(volume: string, sources: readonly ProjectedSource[]): ConfigMap {
    const files = new Map<string, Buffer>()
    for (const source of sources) {
      if (source.configMap?.name) {
        if (source.configMap.name === rootCa && from.ca) files.set('ca.crt', Buffer.from(from.ca))
        else addKeys('ConfigMap', source.configMap.name, source.configMap)
      }
      if (source.secret?.name) addKeys('Secret', source.secret.name, source.secret)
      for (const item of source.downwardAPI?.items ?? []) {
        const value = item.fieldRef
          ? fieldValue(from.pod, item.fieldRef.fieldPath, from.addresses)
          : item.resourceFieldRef &&
            resourceValue(from.pod, undefined, item.resourceFieldRef, from.allocatable)
        if (value !== undefined) files.set(item.path, Buffer.from(value))
        else unsupported(volume, `downwardAPI item ${item.path}`)
      }
      if (source.serviceAccountToken) {
        const { audience, expirationSeconds = 3600, path } = source.serviceAccountToken
        const token = from.tokens.get(tokenKey({ audience: audience || undefined, expirationSeconds }))
        if (token !== undefined) files.set(path, Buffer.from(token))
      }
      if (source.clusterTrustBundle) unsupported(volume, 'clusterTrustBundle')
    }
    return pseudoConfigMap(volume, files)

    function addKeys(kind: ReferenceKind, name: string, ref: { optional?: boolean; items?: KeyToPath[] }) {
      const object = find(kind, name, volume, ref)
      if (!object) return
      for (const { key, path } of ref.items ?? allKeys(object)) {
        const bytes = keyBytes(kind, object, key)
        if (bytes) files.set(path, bytes)
      }
    }
  }

  function unsupported(volume: string, what: string) {
    findings.remarks.push({
      type: 'Warning',
      reason: 'FailedMount',
      message: `volume ${volume}: ${what} is not supported, the file is left out`
    })
  }
}

/** Travelling pods carry downwardAPI volumes as projected ones: plugins of the reference know only those. */
export function travellingVolume(volume: Volume): Volume {
  if (!volume.downwardAPI) return volume
  const { downwardAPI, ...rest } = volume
  return {
    ...rest,
    projected: {
      ...(downwardAPI.defaultMode !== undefined && { defaultMode: downwardAPI.defaultMode }),
      sources: [{ downwardAPI: { items: downwardAPI.items ?? [] } }]
    }
  }
}

const projectedSources = (volume: Volume): readonly ProjectedSource[] | undefined =>
  travellingVolume(volume).projected?.sources

function allKeys(object: ConfigMap | Secret): KeyToPath[] {
  const keys = [...Object.keys(object.data ?? {}), ...Object.keys((object as ConfigMap).binaryData ?? {})]
  return keys.sort().map((key) => ({ key, path: key }))
}

function pseudoConfigMap(name: string, files: ReadonlyMap<string, Buffer>): ConfigMap {
  const data: Record<string, string> = {}
  const binaryData: Record<string, string> = {}
  for (const [path, bytes] of files) {
    const text = bytes.toString('utf8')
    if (Buffer.from(text, 'utf8').equals(bytes)) data[path] = text
    else binaryData[path] = bytes.toString('base64')
  }
  return { metadata: { name }, data, ...(Object.keys(binaryData).length > 0 && { binaryData }) }
}
