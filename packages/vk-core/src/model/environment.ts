/**
 * A container's environment as the kubelet makes it: envFrom first, then env in order, each value expanded with what
 * came before. Source: kubelet, `makeEnvironmentVariables`.
 */
import type { Container, EnvVar } from '@interlink-ts/interlink-api/wire'
import { expand } from './expand.ts'
import { fieldValue, resourceValue } from './fields.ts'
import type { ReferenceKind } from './references.ts'
import { keyBytes, optionalMissing, type Findings, type Resolution } from './resolution.ts'

/** Any printable ASCII but `=` (relaxed names, Kubernetes 1.34). */
const validName = /^[ -<>-~]+$/

export function resolveEnvironment(
  container: Container,
  from: Resolution,
  findings: Findings
): Map<string, string> {
  const env = new Map<string, string>()
  const services = new Map(serviceVariables(from))
  for (const source of container.envFrom ?? []) {
    if (source.configMapRef) addAll(source.prefix, 'ConfigMap', source.configMapRef)
    if (source.secretRef) addAll(source.prefix, 'Secret', source.secretRef)
  }
  for (const variable of container.env ?? []) {
    const value = variable.value
      ? expand(variable.value, (name) => env.get(name) ?? services.get(name))
      : variable.valueFrom
        ? fromSource(variable)
        : ''
    if (value !== undefined) env.set(variable.name, value)
  }
  for (const [name, value] of services) if (!env.has(name)) env.set(name, value)
  return env

  function addAll(prefix = '', kind: ReferenceKind, ref: { name?: string; optional?: boolean }) {
    const object = find(kind, ref.name, ref.optional)
    const invalid: string[] = []
    // binaryData is no environment: the kubelet reads data only.
    for (const key of Object.keys(object?.data ?? {}).sort()) {
      const name = prefix + key
      if (!validName.test(name)) invalid.push(name)
      else if (object) env.set(name, keyBytes(kind, object, key)?.toString('utf8') ?? '')
    }
    if (invalid.length === 0) return
    const what = `${kind === 'Secret' ? 'secret' : 'configMap'} ${from.pod.metadata.namespace}/${ref.name}`
    findings.remarks.push({
      type: 'Warning',
      reason: 'InvalidEnvironmentVariableNames',
      message: `Keys [${invalid.join(', ')}] from the EnvFrom ${what} were skipped since they are considered invalid environment variable names.`
    })
  }

  function fromSource({ name, valueFrom }: EnvVar): string | undefined {
    if (valueFrom?.fieldRef) {
      const value = fieldValue(from.pod, valueFrom.fieldRef.fieldPath, from.addresses)
      if (value === undefined) unsupported(name, `fieldRef ${valueFrom.fieldRef.fieldPath}`)
      return value
    }
    if (valueFrom?.resourceFieldRef) {
      const value = resourceValue(from.pod, container, valueFrom.resourceFieldRef, from.allocatable)
      if (value === undefined) unsupported(name, `resourceFieldRef ${valueFrom.resourceFieldRef.resource}`)
      return value
    }
    if (valueFrom?.configMapKeyRef) return fromKey('ConfigMap', valueFrom.configMapKeyRef)
    if (valueFrom?.secretKeyRef) return fromKey('Secret', valueFrom.secretKeyRef)
    unsupported(name, `valueFrom ${Object.keys(valueFrom ?? {}).join(', ')}`)
    return undefined
  }

  function fromKey(kind: ReferenceKind, ref: { name?: string; key: string; optional?: boolean }) {
    const object = find(kind, ref.name, ref.optional)
    if (!object) return undefined
    const value = object.data?.[ref.key] === undefined ? undefined : keyBytes(kind, object, ref.key)
    if (value) return value.toString('utf8')
    if (ref.optional) findings.remarks.push(optionalMissing(kind, ref.name ?? '', ref.key))
    else
      findings.missing.push({
        kind,
        name: ref.name ?? '',
        key: ref.key,
        use: 'env',
        container: container.name
      })
    return undefined
  }

  function find(kind: ReferenceKind, name = '', optional = false) {
    const object = kind === 'ConfigMap' ? from.configMaps.get(name) : from.secrets.get(name)
    if (!object && optional) findings.remarks.push(optionalMissing(kind, name))
    if (!object && !optional) findings.missing.push({ kind, name, use: 'env', container: container.name })
    return object
  }

  function unsupported(name: string, what: string) {
    findings.remarks.push({
      type: 'Warning',
      reason: 'UnsupportedEnvironment',
      message: `container ${container.name}: ${what} of variable ${name} is not supported, the variable is left out`
    })
  }
}

function serviceVariables({ kubernetesApi }: Resolution): [string, string][] {
  if (!kubernetesApi) return []
  const { host, port } = kubernetesApi
  return [
    ['KUBERNETES_SERVICE_HOST', host],
    ['KUBERNETES_SERVICE_PORT', port],
    ['KUBERNETES_SERVICE_PORT_HTTPS', port],
    ['KUBERNETES_PORT', `tcp://${host}:${port}`],
    ['KUBERNETES_PORT_443_TCP', `tcp://${host}:${port}`],
    ['KUBERNETES_PORT_443_TCP_PROTO', 'tcp'],
    ['KUBERNETES_PORT_443_TCP_PORT', port],
    ['KUBERNETES_PORT_443_TCP_ADDR', host]
  ]
}
