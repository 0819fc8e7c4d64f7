/** The part of an OpenAPI v2 schema that the cluster's own schemas use. */
export interface SchemaV2 {
  readonly $ref?: string
  readonly type?: string
  readonly format?: string
  readonly required?: readonly string[]
  readonly items?: SchemaV2
  readonly additionalProperties?: SchemaV2
  readonly properties?: Readonly<Record<string, SchemaV2>>
  readonly 'x-kubernetes-group-version-kind'?: readonly object[]
}

/**
 * The definitions of an OpenAPI v2 document as protobuf, the only form in which kubectl reads it.
 * Source: OpenAPIv2.proto of gnostic.
 */
export const gnosticDocument = (definitions: Readonly<Record<string, SchemaV2>>): Buffer =>
  Buffer.concat([field(1, '2.0'), field(9, ...named(definitions))])

const schema = (one: SchemaV2): Buffer[] => [
  ...text(1, one.$ref),
  ...text(2, one.format),
  ...(one.required ?? []).map((name) => field(19, name)),
  ...(one.additionalProperties ? [field(21, field(1, ...schema(one.additionalProperties)))] : []),
  ...(one.type ? [field(22, field(1, one.type))] : []),
  ...(one.items ? [field(23, field(1, ...schema(one.items)))] : []),
  ...(one.properties ? [field(25, ...named(one.properties))] : []),
  ...(one[kinds] ? [field(31, field(1, kinds), field(2, field(2, JSON.stringify(one[kinds]))))] : [])
]

const kinds = 'x-kubernetes-group-version-kind'

const named = (schemas: Readonly<Record<string, SchemaV2>>): Buffer[] =>
  Object.entries(schemas).map(([name, one]) => field(1, field(1, name), field(2, ...schema(one))))

const text = (number: number, value: string | undefined): Buffer[] => (value ? [field(number, value)] : [])

/** One length-delimited field. */
function field(number: number, ...parts: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
  return Buffer.concat([varint((number << 3) | 2), varint(body.length), body])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (; value > 0x7f; value >>>= 7) bytes.push((value & 0x7f) | 0x80)
  return Buffer.from([...bytes, value])
}
