import { shapeLines } from './shape-lines.ts'
import type { Resource } from '../resources.ts'

/** One field of a type of the Kubernetes API. */
export interface Field {
  readonly name: string
  /** In protobuf. */
  readonly number: number | undefined
  readonly many: 'list' | 'map' | undefined
  /** A letter of `shapeLines`, or the name of a shape. */
  readonly type: string
  readonly pointer: boolean
  readonly required: boolean
  /** The key by which a strategic merge patch merges the list; '' for a set of plain values. */
  readonly mergeKey: string | undefined
  readonly retainKeys: boolean
  /** The keys by which server-side apply tells the items of the list apart. */
  readonly listKeys: readonly string[]
  readonly values: readonly string[] | undefined
}

export interface Shape {
  readonly name: string
  /** As in JSON. */
  readonly fields: ReadonlyMap<string, Field>
  /** As in protobuf, where embedded structs (named `*`) are messages of their own. */
  readonly numbered: ReadonlyMap<number, Field>
}

const lines = new Map(
  shapeLines
    .trim()
    .split('\n')
    .map((line) => [line.slice(0, line.indexOf(' ')), line])
)
const shapes = new Map<string, Shape>()
const fieldPattern =
  /^([^:]+):(\d*):(\[\]|\{\})?([\w.]+)(\?)?(!)?(?:~(\w*))?(\^)?(?:#([\w,]*))?(?:\(([^)]*)\))?$/

/** The shape of a type by its name; undefined for a plain value. */
export function shapeOf(name: string): Shape | undefined {
  const ready = shapes.get(name)
  if (ready) return ready
  const line = lines.get(name)
  if (!line) return undefined
  const all = line
    .split(/ (?![^(]*\))/)
    .slice(1)
    .map(parseField)
  const shape: Shape = {
    name,
    fields: new Map(all.filter((field) => field.name !== '*').map((field) => [field.name, field])),
    numbered: new Map(
      all.filter((field) => field.number !== undefined).map((field) => [field.number!, field])
    )
  }
  shapes.set(name, shape)
  return shape
}

/** The shape of the objects of a resource. */
export const shapeOfResource = (resource: Pick<Resource, 'group' | 'kind'>): Shape =>
  shapeOf(shapeName(resource.group, resource.kind))!

export const shapeName = (group: string, kind: string): string =>
  group === 'events.k8s.io' ? `events.${kind}` : kind

function parseField(text: string): Field {
  const match = fieldPattern.exec(text)
  if (!match) throw new Error(`the list of shapes has a field that cannot be read: ${text}`)
  const [, name, number, many, type, pointer, required, mergeKey, retain, listKeys, values] = match
  return {
    name: name!,
    number: number ? Number(number) : undefined,
    many: many === '[]' ? 'list' : many === '{}' ? 'map' : undefined,
    type: type!,
    pointer: pointer !== undefined,
    required: required !== undefined,
    mergeKey,
    retainKeys: retain !== undefined,
    listKeys: listKeys?.split(',').filter(Boolean) ?? (mergeKey ? [mergeKey] : []),
    values: values?.split(',')
  }
}
