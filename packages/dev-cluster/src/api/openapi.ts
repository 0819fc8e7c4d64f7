/** OpenAPI from the shapes: enough for `kubectl explain` and for what kubectl asks before it sends. */
import { groupVersion, resources, type Resource } from '../resources.ts'
import type { SchemaV2 } from '../schema/gnostic.ts'
import { shapeOf, shapeOfResource, type Field, type Shape } from '../schema/shape.ts'

const documents = new Map<string, object>()

/** The OpenAPI v3 document of one group and version, such as `v1` or `apps/v1`. */
export function openapi(version: string): object {
  let document = documents.get(version)
  if (!document) documents.set(version, (document = build(version)))
  return document
}

function build(version: string): object {
  const own = resources.filter((resource) => groupVersion(resource) === version)
  return {
    openapi: '3.0.0',
    info,
    paths: Object.fromEntries(own.flatMap(paths)),
    components: {
      schemas: schemasOf(own, (name) => ({ allOf: [{ $ref: `#/components/schemas/${name}` }], default: {} }))
    }
  }
}

let definitions: Record<string, SchemaV2> | undefined

/**
 * The OpenAPI v2 document of everything: kubectl validates a `v1 List` by it and nothing else. It has no paths,
 * from which kubectl would only learn what the v3 documents tell it.
 */
export function openapiV2() {
  definitions ??= schemasOf(resources, (name) => ({ $ref: `#/definitions/${name}` }))
  return { swagger: '2.0', info, paths: {}, definitions }
}

const info = { title: 'dev-cluster', version: 'v1.35.0' }

/** The schemas of the resources and of all that they are made of. */
function schemasOf(own: readonly Resource[], reference: (name: string) => object): Record<string, SchemaV2> {
  const schemas: Record<string, SchemaV2> = {}
  const add = (shape: Shape) => {
    if (schemas[shape.name]) return
    const fields = [...shape.fields.values()]
    schemas[shape.name] = {
      type: 'object',
      properties: Object.fromEntries(fields.map((field) => [field.name, property(field, reference)])),
      required: fields.filter((field) => field.required).map((field) => field.name)
    }
    for (const field of fields) {
      const inner = shapeOf(field.type)
      if (inner) add(inner)
    }
  }
  for (const resource of own) {
    const shape = shapeOfResource(resource)
    add(shape)
    Object.assign(schemas[shape.name]!, { 'x-kubernetes-group-version-kind': [kindOf(resource)] })
  }
  return schemas
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

function property(field: Field, reference: (name: string) => object): object {
  const one = plain[field.type] ?? reference(field.type)
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
