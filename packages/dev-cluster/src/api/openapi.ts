/** OpenAPI v3 from the shapes: enough for `kubectl explain` and for what kubectl asks before it sends. */
import { groupVersion, resources, type Resource } from '../resources.ts'
import { shapeOf, shapeOfResource, type Field, type Shape } from '../schema/shape.ts'

const documents = new Map<string, object>()

/** The document of one group and version, such as `v1` or `apps/v1`. */
export function openapi(version: string): object {
  let document = documents.get(version)
  if (!document) documents.set(version, (document = build(version)))
  return document
}

function build(version: string): object {
  const own = resources.filter((resource) => groupVersion(resource) === version)
  const schemas: Record<string, object> = {}
  const add = (shape: Shape, resource?: Resource) => {
    if (schemas[shape.name]) return
    schemas[shape.name] = {}
    const fields = [...shape.fields.values()]
    schemas[shape.name] = {
      type: 'object',
      description: '',
      properties: Object.fromEntries(fields.map((field) => [field.name, property(field)])),
      required: fields.filter((field) => field.required).map((field) => field.name),
      ...(resource ? { 'x-kubernetes-group-version-kind': [kindOf(resource)] } : {})
    }
    for (const field of fields) {
      const inner = shapeOf(field.type)
      if (inner) add(inner)
    }
  }
  for (const resource of own) add(shapeOfResource(resource), resource)
  return {
    openapi: '3.0.0',
    info: { title: 'dev-cluster', version: 'v1.35.0' },
    paths: Object.fromEntries(own.flatMap(paths)),
    components: { schemas }
  }
}

function paths(resource: Resource): [string, object][] {
  const version = groupVersion(resource)
  const prefix = version === 'v1' ? '/api/v1' : `/apis/${version}`
  const path = `${prefix}/${resource.namespaced ? 'namespaces/{namespace}/' : ''}${resource.plural}`
  const operation = (action: string) => ({
    parameters,
    responses: {},
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': kindOf(resource)
  })
  return [
    [path, { get: operation('list'), post: operation('post') }],
    [`${path}/{name}`, { get: operation('get'), put: operation('put'), patch: operation('patch') }]
  ]
}

const parameters = ['fieldValidation', 'dryRun', 'fieldManager'].map((name) => ({
  name,
  in: 'query',
  schema: { type: 'string' }
}))

const kindOf = ({ group, version, kind }: Resource) => ({ group, version, kind })

function property(field: Field): object {
  const one = plain[field.type] ?? { allOf: [{ $ref: `#/components/schemas/${field.type}` }], default: {} }
  const value = field.values ? { ...one, enum: field.values } : one
  switch (field.many) {
    case 'list':
      return { type: 'array', description: '', items: value }
    case 'map':
      return { type: 'object', description: '', additionalProperties: value }
    default:
      return { description: '', ...value }
  }
}

const plain: Readonly<Record<string, object>> = {
  s: { type: 'string' },
  i: { type: 'integer' },
  n: { type: 'number' },
  b: { type: 'boolean' },
  y: { type: 'string', format: 'byte' },
  q: { type: 'string' },
  t: { type: 'string', format: 'date-time' },
  T: { type: 'string', format: 'date-time' },
  x: { type: 'string', format: 'int-or-string' },
  j: { type: 'object' }
}
