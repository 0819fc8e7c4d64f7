import { format, isMap, print, truth } from './values.ts'
import { printf } from './printf.ts'

export type Function = (...args: readonly unknown[]) => unknown

/** The functions of text/template but `call`; `and` and `or`, which need not look at all they are given, are the evaluator's. */
export const functions: ReadonlyMap<string, Function> = new Map<string, Function>([
  ['not', (value) => !truth(value)],
  ['len', length],
  ['index', (value, ...keys) => keys.reduce(at, value)],
  ['slice', slice],
  ['print', (...values) => print(values)],
  ['println', (...values) => `${values.map(format).join(' ')}\n`],
  ['printf', (pattern, ...values) => printf(format(pattern), values)],
  ['html', (...values) => escapeHtml(text(values))],
  ['js', (...values) => escapeJs(text(values))],
  ['urlquery', (...values) => encodeQuery(text(values))],
  ['eq', (first, ...others) => others.some((other) => isEqual(first, other))],
  ['ne', (first, second) => !isEqual(first, second)],
  ['lt', (first, second) => compare(first, second) < 0],
  ['le', (first, second) => compare(first, second) <= 0],
  ['gt', (first, second) => compare(first, second) > 0],
  ['ge', (first, second) => compare(first, second) >= 0]
])

const text = (values: readonly unknown[]): string =>
  values.length === 1 && typeof values[0] === 'string' ? values[0] : print(values)

function length(value: unknown): number {
  if (value === null || value === undefined) return 0
  if (typeof value === 'string') return Buffer.byteLength(value)
  if (Array.isArray(value)) return value.length
  if (isMap(value)) return Object.keys(value).length
  throw new Error(`len of ${format(value)}, which has none`)
}

function at(value: unknown, key: unknown): unknown {
  if (isMap(value)) return Object.hasOwn(value, format(key)) ? value[format(key)] : null
  const items = typeof value === 'string' ? [...Buffer.from(value)] : value
  if (!Array.isArray(items)) throw new Error(`index of ${format(value)}, which has none`)
  if (typeof key !== 'number' || !Number.isInteger(key) || key < 0 || key >= items.length)
    throw new Error(`index out of range: ${format(key)}`)
  return items[key]
}

function slice(value: unknown, from: unknown = 0, to: unknown = length(value)): unknown {
  if (typeof value !== 'string' && !Array.isArray(value)) throw new Error(`slice of ${format(value)}`)
  const most = length(value)
  for (const bound of [from, to])
    if (typeof bound !== 'number' || bound < 0 || bound > most)
      throw new Error(`index out of range: ${format(bound)}`)
  const [start, end] = [from as number, to as number]
  return typeof value === 'string'
    ? Buffer.from(value).subarray(start, end).toString()
    : value.slice(start, end)
}

function isEqual(first: unknown, second: unknown): boolean {
  const [a, b] = [first ?? null, second ?? null]
  // What JSON leaves out is the zero value of its type.
  if ((a === null && !truth(b)) || (b === null && !truth(a))) return true
  if (a !== null && b !== null && typeof a !== typeof b) throw new Error('incompatible types for comparison')
  if (typeof a === 'object' && a !== null) throw new Error(`non-comparable type: ${format(a)}`)
  return a === b
}

function compare(first: unknown, second: unknown): number {
  if (typeof first === 'number' && typeof second === 'number') return first - second
  if (typeof first === 'string' && typeof second === 'string')
    return Buffer.compare(Buffer.from(first), Buffer.from(second))
  throw new Error('incompatible types for comparison')
}

const html: Readonly<Record<string, string>> = {
  '<': '&lt;',
  '>': '&gt;',
  '&': '&amp;',
  "'": '&#39;',
  '"': '&#34;',
  '\0': '\uFFFD'
}
const escapeHtml = (value: string): string => value.replace(/[<>&'"\0]/g, (char) => html[char]!)

const js: Readonly<Record<string, string>> = { '\\': '\\\\', "'": "\\'", '"': '\\"' }
const escapeJs = (value: string): string =>
  value.replace(
    /[\\'"<>&=\x00-\x1f]/g,
    (char) => js[char] ?? `\\u${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`
  )

const encodeQuery = (value: string): string =>
  encodeURIComponent(value)
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')
