import { duplicate, faulty, forbidden, required, same, type Cause } from './causes.ts'
import { quantity } from './quantity.ts'
import { at, type Json, type KubeObject } from './object.ts'

const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const labelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"
const list = (value: unknown): Json[] => (value as Json[] | undefined) ?? []

/** What a pod's spec breaks that its type cannot tell. `path` leads to the spec. */
export function podSpecCauses(spec: Json, path: string): Cause[] {
  const causes = volumeCauses(list(spec.volumes), `${path}.volumes`)
  const volumes = new Set(list(spec.volumes).map((volume) => volume.name))
  const names = new Set<unknown>()
  if (list(spec.containers).length === 0) causes.push(required(`${path}.containers`))
  for (const kind of ['initContainers', 'containers'])
    for (const [index, one] of list(spec[kind]).entries()) {
      const here = `${path}.${kind}[${index}]`
      if (!label.test(String(one.name))) causes.push(faulty(`${here}.name`, one.name, labelRule))
      if (names.has(one.name)) causes.push(duplicate(`${here}.name`, one.name))
      names.add(one.name)
      causes.push(...containerCauses(one, here, volumes))
      if (kind === 'initContainers') causes.push(...initCauses(one, here))
    }
  for (const field of ['terminationGracePeriodSeconds', 'activeDeadlineSeconds']) {
    const least = field === 'activeDeadlineSeconds' ? 1 : 0
    if (spec[field] !== undefined && Number(spec[field]) < least)
      causes.push(faulty(`${path}.${field}`, spec[field], `must be greater than or equal to ${least}`))
  }
  if (spec.hostname && !label.test(String(spec.hostname)))
    causes.push(faulty(`${path}.hostname`, spec.hostname, labelRule))
  return causes
}

function volumeCauses(volumes: readonly Json[], path: string): Cause[] {
  const names = new Set<unknown>()
  return volumes.flatMap((volume, index) => {
    const here = `${path}[${index}]`
    const causes: Cause[] = []
    if (!label.test(String(volume.name))) causes.push(faulty(`${here}.name`, volume.name, labelRule))
    if (names.has(volume.name)) causes.push(duplicate(`${here}.name`, volume.name))
    names.add(volume.name)
    const sources = Object.keys(volume).filter((key) => key !== 'name')
    if (sources.length === 0) causes.push(required(here, 'must specify a volume type'))
    for (const extra of sources.slice(1))
      causes.push(forbidden(`${here}.${extra}`, 'may not specify more than 1 volume type'))
    return causes
  })
}

function containerCauses(one: Json, path: string, volumes: ReadonlySet<unknown>): Cause[] {
  const causes: Cause[] = []
  if (!one.image) causes.push(required(`${path}.image`))
  const paths = new Set<unknown>()
  for (const [index, mount] of list(one.volumeMounts).entries()) {
    const here = `${path}.volumeMounts[${index}]`
    if (!volumes.has(mount.name))
      causes.push({
        field: `${here}.name`,
        message: `Not found: "${String(mount.name)}"`,
        reason: 'FieldValueNotFound'
      })
    if (paths.has(mount.mountPath))
      causes.push(faulty(`${here}.mountPath`, mount.mountPath, 'must be unique'))
    paths.add(mount.mountPath)
    for (const field of ['subPath', 'subPathExpr'])
      if (
        String(mount[field] ?? '')
          .split('/')
          .includes('..') ||
        String(mount[field] ?? '').startsWith('/')
      )
        causes.push(faulty(`${here}.${field}`, mount[field], "must be a relative path without '..'"))
  }
  for (const [index, port] of list(one.ports).entries())
    for (const field of ['containerPort', 'hostPort'])
      if (port[field] !== undefined && !(Number(port[field]) > 0 && Number(port[field]) < 65536))
        causes.push(
          faulty(`${path}.ports[${index}].${field}`, port[field], 'must be between 1 and 65535, inclusive')
        )
  for (const [index, variable] of list(one.env).entries())
    causes.push(...envCauses(variable, `${path}.env[${index}]`))
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
    if (one[probe]) causes.push(...handlerCauses(one[probe] as Json, `${path}.${probe}`))
  for (const [hook, action] of Object.entries((one.lifecycle as Json | undefined) ?? {}))
    if (typeof action === 'object') causes.push(...handlerCauses(action as Json, `${path}.lifecycle.${hook}`))
  return [...causes, ...resourceCauses(one, `${path}.resources`)]
}

/** An init container's probes and hooks are for those that go on running beside the pod. */
function initCauses(one: Json, path: string): Cause[] {
  if (one.restartPolicy === 'Always') return []
  return ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe']
    .filter((field) => one[field])
    .map((field) =>
      forbidden(`${path}.${field}`, 'may not be set for init containers without restartPolicy=Always')
    )
}

function envCauses(variable: Json, path: string): Cause[] {
  const causes: Cause[] = []
  const name = String(variable.name)
  if (/[=]|[^ -~]/.test(name))
    causes.push(
      faulty(
        `${path}.name`,
        name,
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
      )
    )
  const from = variable.valueFrom as Json | undefined
  if (from && variable.value)
    causes.push(faulty(`${path}.valueFrom`, '', 'may not be specified when `value` is not empty'))
  if (from && Object.keys(from).length !== 1)
    causes.push(
      faulty(
        `${path}.valueFrom`,
        '',
        'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`'
      )
    )
  return causes
}

const handlers = ['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep']

function handlerCauses(action: Json, path: string): Cause[] {
  const asked = handlers.filter((handler) => action[handler] !== undefined)
  if (asked.length === 0) return [required(path, 'must specify a handler type')]
  return asked
    .slice(1)
    .map((handler) => forbidden(`${path}.${handler}`, 'may not specify more than 1 handler type'))
}

function resourceCauses(one: Json, path: string): Cause[] {
  const limits = at<Json>(one, 'resources', 'limits') ?? {}
  const requests = at<Json>(one, 'resources', 'requests') ?? {}
  const causes: Cause[] = []
  for (const [field, set] of Object.entries({ limits, requests }))
    for (const [name, amount] of Object.entries(set))
      if (quantity(amount) < 0)
        causes.push(faulty(`${path}.${field}.${name}`, amount, 'must be greater than or equal to 0'))
  for (const [name, amount] of Object.entries(requests)) {
    const limit = limits[name]
    if (limit !== undefined && quantity(amount) > quantity(limit))
      causes.push(
        faulty(`${path}.requests`, amount, `must be less than or equal to ${name} limit of ${String(limit)}`)
      )
    if (isExtended(name) && limit === undefined)
      causes.push(required(`${path}.limits.${name}`, 'Limit must be set for non overcommitable resources'))
  }
  return causes
}

const isExtended = (name: string) => name.includes('/') && !name.startsWith('kubernetes.io/')

/** A pod's spec is settled but for a few fields. */
export function podUpdateCauses(
  object: KubeObject,
  before: KubeObject,
  subresource: string | undefined
): Cause[] {
  const freed = subresource === 'ephemeralcontainers' ? ['ephemeralContainers'] : []
  const settled = (pod: KubeObject) => {
    const kept = Object.entries(at<Json>(pod, 'spec') ?? {}).filter(
      ([key]) => !['activeDeadlineSeconds', 'tolerations', 'schedulingGates', ...freed].includes(key)
    )
    return kept.map(([key, value]) =>
      key === 'containers' || key === 'initContainers'
        ? [key, list(value).map(({ image: _image, ...rest }) => rest)]
        : [key, value]
    )
  }
  const causes: Cause[] = []
  if (!same(Object.fromEntries(settled(object)), Object.fromEntries(settled(before))))
    causes.push(
      forbidden(
        'spec',
        'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)'
      )
    )
  const tolerations = list(at(object, 'spec', 'tolerations'))
  if (!list(at(before, 'spec', 'tolerations')).every((old) => tolerations.some((one) => same(one, old))))
    causes.push(
      forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds')
    )
  return causes
}
