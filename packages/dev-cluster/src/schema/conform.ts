import { badRequest, type Cause } from '../errors.ts'
import type { Json } from '../object.ts'
import { canonical } from '../quantity.ts'
import { shapeOf, type Field, type Shape } from './shape.ts'

/**
 * An object as its type allows it: nulls and unknown fields are left out, times are written the one way the API
 * writes them. Fails with 400 where a value is of another type. `unknown` lists the paths that were left out.
 */
export function conform(shape: Shape, body: Json): { object: Json; unknown: string[] } {
  const unknown: string[] = []
  return { object: fieldsOf(shape, body, '', unknown), unknown }
}

function fieldsOf(shape: Shape, given: Json, path: string, unknown: string[]): Json {
  const result: Json = {}
  for (const key in given) {
    const value = given[key]
    if (value === null || value === undefined) continue
    const field = shape.fields.get(key)
    const here = path ? `${path}.${key}` : key
    if (!field) {
      unknown.push(here)
      continue
    }
    const valid = valueOf(field, value, here, unknown)
    if (!isOmitted(field, valid)) result[key] = valid
  }
  return result
}

/** What Go's JSON leaves out: the zero of anything that is neither a pointer nor required. */
function isOmitted(field: Field, value: unknown): boolean {
  if (field.required || field.type === 'j') return false
  if (field.many) return Object.keys(value as object).length === 0
  return !field.pointer && (value === '' || value === 0 || value === false)
}

function valueOf(field: Field, value: unknown, path: string, unknown: string[]): unknown {
  if (field.many === 'list') {
    if (!Array.isArray(value)) throw wrong(path, 'a list', value)
    return value.map((item, index) => single(field, item, `${path}[${index}]`, unknown))
  }
  if (field.many === 'map') {
    if (!isObject(value)) throw wrong(path, 'an object', value)
    const result: Json = {}
    for (const key in value)
      result[key] = value[key] === null ? '' : single(field, value[key], `${path}.${key}`, unknown)
    return result
  }
  return single(field, value, path, unknown)
}

function single(field: Field, value: unknown, path: string, unknown: string[]): unknown {
  switch (field.type) {
    case 's':
      if (typeof value !== 'string') throw wrong(path, 'a string', value)
      return value
    case 'i':
      if (!Number.isSafeInteger(value)) throw wrong(path, 'an integer', value)
      return value
    case 'n':
      if (typeof value !== 'number') throw wrong(path, 'a number', value)
      return value
    case 'b':
      if (typeof value !== 'boolean') throw wrong(path, 'a boolean', value)
      return value
    case 'y':
      if (typeof value !== 'string' || !base64.test(value)) throw wrong(path, 'base64', value)
      return value
    case 'q':
      return quantityOf(value, path)
    case 't':
    case 'T':
      return timeOf(value, path, field.type === 'T')
    case 'x':
      if (typeof value !== 'string' && !Number.isInteger(value))
        throw wrong(path, 'an integer or a string', value)
      return value
    case 'j':
      return value
    default:
      if (!isObject(value)) throw wrong(path, 'an object', value)
      return fieldsOf(shapeOf(field.type)!, value, path, unknown)
  }
}

const base64 = /^[A-Za-z0-9+/\s]*={0,2}\s*$/

function quantityOf(value: unknown, path: string): string {
  const text = typeof value === 'string' || typeof value === 'number' ? canonical(String(value)) : undefined
  if (text === undefined) throw wrong(path, 'a quantity such as 100m, 2 or 1Gi', value)
  return text
}

function timeOf(value: unknown, path: string, micro: boolean): string {
  const form = micro ? microTime : wholeTime
  const ms = typeof value === 'string' && form.test(value) ? Date.parse(value) : NaN
  if (Number.isNaN(ms))
    throw wrong(path, `a time such as 2026-01-31T12:00:00${micro ? '.000000' : ''}Z`, value)
  const whole = new Date(ms).toISOString().slice(0, 19)
  return micro ? `${whole}${/\.\d{6}/.exec(value as string)![0]}Z` : `${whole}Z`
}

const wholeTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/
/** The real API reads exactly six digits here, and so must its clients write. */
const microTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$/

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const wrong = (path: string, expected: string, value: unknown) => {
  const found = Array.isArray(value) ? 'a list' : value === null ? 'null' : JSON.stringify(value)
  const shown = found.length > 60 ? `${found.slice(0, 60)}…` : found
  const hint = expected === 'a string' && typeof value !== 'object' ? '; quote it' : ''
  return badRequest(`${path}: expected ${expected}, found ${shown}${hint}`)
}

/** Fields that the API fills in although its documents call them required. */
const filledIn = new Set(['apiGroup', 'status', 'lastTransitionTime'])

/** What is required and missing, and values that are none of those allowed. */
export function shapeCauses(shape: Shape, object: Json, path: string): Cause[] {
  const causes: Cause[] = []
  for (const field of shape.fields.values()) {
    const value = object[field.name]
    const here = `${path}.${field.name}`
    if (value === undefined || (value === '' && field.required)) {
      if (field.required && !filledIn.has(field.name))
        causes.push({ field: here, message: 'Required value', reason: 'FieldValueRequired' })
      continue
    }
    const shapeOfField = shapeOf(field.type)
    const items: [unknown, string][] = Array.isArray(value)
      ? value.map((item, index) => [item, `${here}[${index}]`])
      : [[value, here]]
    for (const [item, at] of items)
      if (shapeOfField) causes.push(...shapeCauses(shapeOfField, item as Json, at))
      else if (field.values && !field.values.includes(item as string) && item !== '')
        causes.push({
          field: at,
          message: `Unsupported value: ${JSON.stringify(item)}: supported values: ${field.values.map((one) => `"${one}"`).join(', ')}`,
          reason: 'FieldValueNotSupported'
        })
  }
  return causes
}
