import { at, type Json, type KubeObject } from './object.ts'
import type { Cause } from './errors.ts'
import type { Resource } from './resources.ts'

const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

/** The checks that save a user from a typo; not the whole of the real API server's. */
export function validate(
  resource: Resource,
  object: KubeObject,
  before: KubeObject | undefined,
  subresource?: string
): Cause[] {
  switch (resource.kind) {
    case 'Pod':
      return before ? immutable(object, before, subresource) : podSpec(at<Json>(object, 'spec'), 'spec')
    case 'Job':
    case 'Deployment':
    case 'ReplicaSet':
    case 'DaemonSet':
    case 'StatefulSet':
      return [
        ...podSpec(at<Json>(object, 'spec', 'template', 'spec'), 'spec.template.spec'),
        ...(resource.kind === 'Job' ? jobRules(object) : selectorRules(object))
      ]
    default:
      return []
  }
}

const required = (field: string): Cause => ({
  field,
  message: 'Required value',
  reason: 'FieldValueRequired'
})
const invalid = (field: string, message: string): Cause => ({ field, message, reason: 'FieldValueInvalid' })

function podSpec(spec: Json | undefined, path: string): Cause[] {
  const causes: Cause[] = []
  const containers = spec?.containers
  if (!Array.isArray(containers) || containers.length === 0) return [required(`${path}.containers`)]
  const volumes = new Set(((spec?.volumes as Json[]) ?? []).map((volume) => volume.name))
  const seen = new Set<unknown>()
  for (const list of ['initContainers', 'containers'])
    for (const [index, one] of (((spec?.[list] as Json[]) ?? []) as Json[]).entries()) {
      const here = `${path}.${list}[${index}]`
      if (typeof one.name !== 'string') causes.push(required(`${here}.name`))
      else if (!label.test(one.name))
        causes.push(
          invalid(`${here}.name`, `Invalid value: "${one.name}": must be a lowercase RFC 1123 label`)
        )
      else if (seen.has(one.name))
        causes.push({
          field: `${here}.name`,
          message: `Duplicate value: "${one.name}"`,
          reason: 'FieldValueDuplicate'
        })
      seen.add(one.name)
      if (typeof one.image !== 'string' || !one.image) causes.push(required(`${here}.image`))
      for (const [at, mount] of ((one.volumeMounts as Json[]) ?? []).entries()) {
        if (!volumes.has(mount.name))
          causes.push({
            field: `${here}.volumeMounts[${at}].name`,
            message: `Not found: "${String(mount.name)}"`,
            reason: 'FieldValueNotFound'
          })
        if (!mount.mountPath) causes.push(required(`${here}.volumeMounts[${at}].mountPath`))
      }
      for (const [at, variable] of ((one.env as Json[]) ?? []).entries())
        if (typeof variable.value !== 'undefined' && typeof variable.value !== 'string')
          causes.push(
            invalid(
              `${here}.env[${at}].value`,
              `Invalid value: ${JSON.stringify(variable.value)}: must be a string; quote it`
            )
          )
    }
  const policy = spec?.restartPolicy
  if (!['Always', 'OnFailure', 'Never'].includes(String(policy)))
    causes.push({
      field: `${path}.restartPolicy`,
      message: `Unsupported value: "${String(policy)}": supported values: "Always", "OnFailure", "Never"`,
      reason: 'FieldValueNotSupported'
    })
  return causes
}

/** A pod's spec is fixed but for a few fields. */
function immutable(object: KubeObject, before: KubeObject, subresource: string | undefined): Cause[] {
  if (subresource === 'binding' || subresource === 'ephemeralcontainers') return []
  const fixed = (pod: KubeObject) => {
    const {
      activeDeadlineSeconds: _deadline,
      tolerations: _tolerations,
      schedulingGates: _gates,
      ...spec
    } = at<Json>(pod, 'spec') ?? {}
    const imageless = (list: unknown) =>
      (list as Json[] | undefined)?.map(({ image: _image, ...rest }) => rest)
    return JSON.stringify({
      ...spec,
      containers: imageless(spec.containers),
      initContainers: imageless(spec.initContainers)
    })
  }
  return sorted(fixed(object)) === sorted(fixed(before))
    ? []
    : [
        {
          field: 'spec',
          message:
            'Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)',
          reason: 'FieldValueForbidden'
        }
      ]
}

const sorted = (text: string) =>
  JSON.stringify(JSON.parse(text), (_key, value: unknown) =>
    value && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value
  )

function jobRules(object: KubeObject): Cause[] {
  const policy = at<string>(object, 'spec', 'template', 'spec', 'restartPolicy')
  return policy === 'Always'
    ? [
        {
          field: 'spec.template.spec.restartPolicy',
          message: 'Required value: valid values: "OnFailure", "Never"',
          reason: 'FieldValueRequired'
        }
      ]
    : []
}

function selectorRules(object: KubeObject): Cause[] {
  const wanted = at<Record<string, string>>(object, 'spec', 'selector', 'matchLabels')
  if (!at(object, 'spec', 'selector')) return [required('spec.selector')]
  const labels = at<Record<string, string>>(object, 'spec', 'template', 'metadata', 'labels') ?? {}
  return Object.entries(wanted ?? {}).every(([key, value]) => labels[key] === value)
    ? []
    : [
        invalid(
          'spec.template.metadata.labels',
          `Invalid value: ${JSON.stringify(labels)}: \`selector\` does not match template \`labels\``
        )
      ]
}
