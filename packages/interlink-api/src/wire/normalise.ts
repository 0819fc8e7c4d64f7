/**
 * The tolerant part of decoding, guided by the schema: what Go and the plugins of the field write in several ways
 * comes out in one. It never fails on a wrong type; that is the validator's part.
 */
import { Type, type TSchema } from 'typebox'
import { InterlinkError } from '../errors.ts'

interface Node extends TSchema {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Node>>
  readonly patternProperties?: Readonly<Record<string, Node>>
  readonly items?: Node
  readonly anyOf?: readonly Node[]
  readonly const?: unknown
  readonly default?: unknown
  /** Further names of the property. */
  readonly 'x-alias'?: readonly string[]
  /** A value that means absent. */
  readonly 'x-absent'?: string
  /** A number is taken as its text. */
  readonly 'x-number'?: boolean
}

interface Shape {
  readonly properties: readonly (readonly [name: string, schema: Node])[]
  /** Property names by every lower-case name they go by. */
  readonly names: ReadonlyMap<string, string>
}

const anything = Type.Unknown() as Node
const shapes = new WeakMap<object, Shape>()
const maxDepth = 100

/**
 * Null and absence become absence, keys of messages are matched as Go matches them (without regard to case),
 * defaults are filled in. The input is not changed.
 * @throws InterlinkError `IL_INVALID_MESSAGE` for nesting that no message has.
 */
export const normalise = (schema: TSchema, value: unknown): unknown => walk(schema as Node, value, 0)

function walk(schema: Node, value: unknown, depth: number): unknown {
  if (depth > maxDepth)
    throw new InterlinkError('IL_INVALID_MESSAGE', {
      field: 'body',
      expected: `at most ${maxDepth} levels`,
      found: 'more'
    })
  if (Array.isArray(value)) {
    const items = schema.items ?? anything
    return value.map((item) => (item === null ? null : walk(items, item, depth + 1)))
  }
  if (typeof value === 'object' && value !== null) return walkObject(pick(schema, value), value, depth)
  if (typeof value === 'number' && schema['x-number']) return String(value)
  return value
}

/** The member of a union that an object's `type` asks for. */
function pick(schema: Node, value: object): Node {
  if (!schema.anyOf) return schema
  const { type } = value as { type?: unknown }
  return schema.anyOf.find((member) => member.properties?.type?.const === type) ?? schema
}

function walkObject(schema: Node, value: object, depth: number): unknown {
  const { properties, names } = shapeOf(schema)
  const rest = schema.patternProperties ? Object.values(schema.patternProperties)[0]! : anything
  const known = schema.properties ?? {}
  const out: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(value)) {
    if (item === null || item === undefined || key === '__proto__') continue
    const exact = Object.hasOwn(known, key)
    const name = exact ? key : (names.get(key.toLowerCase()) ?? key)
    if (!exact && name !== key && Object.hasOwn(out, name)) continue
    const inner = Object.hasOwn(known, name) ? known[name]! : rest
    if (inner['x-absent'] !== undefined && inner['x-absent'] === item) continue
    out[name] = walk(inner, item, depth + 1)
  }
  for (const [name, inner] of properties)
    if (inner.default !== undefined && !Object.hasOwn(out, name))
      out[name] = walk(inner, structuredClone(inner.default), depth + 1)
  return out
}

function shapeOf(schema: Node): Shape {
  const found = shapes.get(schema)
  if (found) return found
  const properties = Object.entries(schema.properties ?? {})
  const names = new Map<string, string>()
  for (const [name, inner] of properties)
    for (const alias of [name, ...(inner['x-alias'] ?? [])]) names.set(alias.toLowerCase(), name)
  const shape = { properties, names }
  shapes.set(schema, shape)
  return shape
}
