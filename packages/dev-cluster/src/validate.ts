import { at, type Json, type KubeObject } from './object.ts'
import { faulty, forbidden, same, type Cause } from './causes.ts'
import type { Resource } from './resources.ts'
import { shapeCauses } from './schema/conform.ts'
import { shapeOf } from './schema/shape.ts'
import { podSpecCauses, podUpdateCauses } from './validate-pod.ts'

/** What keeps an object from being stored: the checks that save a user from a mistake, not the whole of the API's. */
export function validate(
  resource: Resource,
  object: KubeObject,
  before: KubeObject | undefined,
  subresource?: string
): Cause[] {
  const causes = metadataCauses(resource, object)
  const spec = at<Json>(object, 'spec') ?? {}
  const shape = shapeOf(`${resource.kind}Spec`)
  if (shape && shaped.has(resource.kind)) causes.push(...shapeCauses(shape, spec, 'spec'))
  const told = new Set(causes.map(({ field }) => field))
  const more = rules[resource.kind]?.(object, before, subresource) ?? []
  return [...causes, ...more.filter(({ field }) => !told.has(field))]
}

type Rule = (object: KubeObject, before: KubeObject | undefined, subresource?: string) => Cause[]

const shaped = new Set([
  'Pod',
  'Job',
  'Deployment',
  'ReplicaSet',
  'DaemonSet',
  'Service',
  'CertificateSigningRequest'
])

const podTemplate: Rule = (object) =>
  podSpecCauses(at<Json>(object, 'spec', 'template', 'spec') ?? {}, 'spec.template.spec')

const workload: Rule = (object, before) => [
  ...podTemplate(object, before),
  ...always(object),
  ...selects(object),
  ...fixed(object, before, 'spec.selector')
]

const rules: Readonly<Record<string, Rule>> = {
  Pod: (object, before, subresource) =>
    before
      ? podUpdateCauses(object, before, subresource)
      : podSpecCauses(at<Json>(object, 'spec') ?? {}, 'spec'),
  Job: (object, before) => [
    ...podTemplate(object, before),
    ...jobRules(object),
    ...fixed(object, before, 'spec.selector'),
    ...(at(before, 'spec', 'suspend') ? [] : fixed(object, before, 'spec.template')),
    ...fixed(object, before, 'spec.completionMode')
  ],
  Deployment: workload,
  ReplicaSet: workload,
  DaemonSet: workload,
  ConfigMap: keyed,
  Secret: keyed,
  RoleBinding: (object, before) => fixed(object, before, 'roleRef'),
  ClusterRoleBinding: (object, before) => fixed(object, before, 'roleRef')
}

const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const dnsName = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/
const qualifiedName = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/

function metadataCauses(resource: Resource, { metadata }: KubeObject): Cause[] {
  const { name, labels = {}, annotations = {} } = metadata
  const causes: Cause[] = []
  if (!name)
    causes.push({
      field: 'metadata.name',
      message: 'Required value: name or generateName is required',
      reason: 'FieldValueRequired'
    })
  else if (!validName(resource, name)) causes.push(faulty('metadata.name', name, nameRule(resource)))
  for (const [key, value] of Object.entries(labels)) {
    if (!qualifiedName.test(key)) causes.push(faulty('metadata.labels', key, keyRule))
    if (value.length > 63 || !labelValue.test(value)) causes.push(faulty('metadata.labels', value, valueRule))
  }
  for (const key of Object.keys(annotations))
    if (!qualifiedName.test(key)) causes.push(faulty('metadata.annotations', key, keyRule))
  return causes
}

const keyRule =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
const valueRule =
  "a valid label must be an empty string or at most 63 characters of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"

const isLabelled = ({ kind }: Resource) => kind === 'Namespace' || kind === 'Service'

function validName(resource: Resource, name: string): boolean {
  if (resource.group === 'rbac.authorization.k8s.io') return !/^\.\.?$|[/%]/.test(name)
  return isLabelled(resource) ? dnsLabel.test(name) : name.length <= 253 && dnsName.test(name)
}

const nameRule = (resource: Resource) =>
  isLabelled(resource)
    ? "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (at most 63)"
    : "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"

/** A part of an object that is settled for good when the object is created. */
function fixed(object: KubeObject, before: KubeObject | undefined, path: string): Cause[] {
  const keys = path.split('.')
  if (!before || same(at(object, ...keys), at(before, ...keys))) return []
  return [faulty(path, at(object, ...keys), 'field is immutable')]
}

function jobRules(object: KubeObject): Cause[] {
  const spec = at<Json>(object, 'spec') ?? {}
  const causes: Cause[] = []
  const policy = at<string>(spec, 'template', 'spec', 'restartPolicy')
  if (policy === 'Always')
    causes.push({
      field: 'spec.template.spec.restartPolicy',
      message: 'Required value: valid values: "OnFailure", "Never"',
      reason: 'FieldValueRequired'
    })
  if (spec.completionMode === 'Indexed' && spec.completions === undefined)
    causes.push({
      field: 'spec.completions',
      message: 'Required value: when completion mode is Indexed',
      reason: 'FieldValueRequired'
    })
  for (const field of ['parallelism', 'completions', 'backoffLimit', 'ttlSecondsAfterFinished'])
    if (Number(spec[field] ?? 0) < 0)
      causes.push(faulty(`spec.${field}`, spec[field], 'must be greater than or equal to 0'))
  if (spec.backoffLimitPerIndex !== undefined && spec.completionMode !== 'Indexed')
    causes.push(
      faulty('spec.backoffLimitPerIndex', spec.backoffLimitPerIndex, 'requires indexed completion mode')
    )
  if (spec.podFailurePolicy && policy !== 'Never')
    causes.push(
      faulty(
        'spec.template.spec.restartPolicy',
        policy,
        'only "Never" is supported when podFailurePolicy is specified'
      )
    )
  return causes
}

function always(object: KubeObject): Cause[] {
  const policy = at<string>(object, 'spec', 'template', 'spec', 'restartPolicy')
  return policy === 'Always'
    ? []
    : [
        {
          field: 'spec.template.spec.restartPolicy',
          message: `Unsupported value: ${JSON.stringify(policy)}: supported values: "Always"`,
          reason: 'FieldValueNotSupported'
        }
      ]
}

function selects(object: KubeObject): Cause[] {
  const wanted = at<Record<string, string>>(object, 'spec', 'selector', 'matchLabels') ?? {}
  const labels = at<Record<string, string>>(object, 'spec', 'template', 'metadata', 'labels') ?? {}
  return Object.entries(wanted).every(([key, value]) => labels[key] === value)
    ? []
    : [faulty('spec.template.metadata.labels', labels, '`selector` does not match template `labels`')]
}

/** ConfigMaps and Secrets: keys that can be file names, at most 1 MiB, and no change once immutable. */
function keyed(object: KubeObject, before: KubeObject | undefined): Cause[] {
  const causes: Cause[] = []
  let size = 0
  for (const field of ['data', 'binaryData'])
    for (const [key, value] of Object.entries((object[field] as Record<string, string>) ?? {})) {
      size += value.length
      if (!/^[-._A-Za-z0-9]{1,253}$/.test(key) || key.startsWith('..') || key === '.')
        causes.push(
          faulty(
            `${field}[${key}]`,
            key,
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
          )
        )
    }
  if (size > 1 << 20)
    causes.push({
      field: 'data',
      message: 'Too long: may not be more than 1048576 bytes',
      reason: 'FieldValueTooLong'
    })
  if (before?.immutable)
    for (const field of ['data', 'binaryData', 'immutable'])
      if (!same(object[field], before[field]))
        causes.push(forbidden(field, 'field is immutable when `immutable` is set'))
  return causes
}
