/** Values as Go's text/template and fmt see them: of JSON, with null for nil. */

export const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Whether a value counts as true: anything but false, 0, nil, and what is empty. */
export function truth(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0
  if (isMap(value)) return Object.keys(value).length > 0
  return Boolean(value)
}

/** The order in which maps are gone through and printed. */
export const sortedKeys = (map: Readonly<Record<string, unknown>>): string[] =>
  Object.keys(map).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))

/** As `%v` of fmt. */
export function format(value: unknown): string {
  if (value === null || value === undefined) return '<nil>'
  if (Array.isArray(value)) return `[${value.map(format).join(' ')}]`
  if (isMap(value))
    return `map[${sortedKeys(value)
      .map((key) => `${key}:${format(value[key])}`)
      .join(' ')}]`
  if (typeof value === 'number') return formatNumber(value)
  return String(value as string | boolean)
}

/** Integers as they are; the others as `%v` of a float64, which has an exponent from 21 on and below -4. */
function formatNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return String(value)
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
  const [digits = '', exponent = ''] = value.toExponential().split('e')
  const power = Number(exponent)
  if (power >= -4 && power < 21) return String(value)
  return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
}

/** As `%q` of fmt: strconv.Quote. */
export const quote = (text: string): string =>
  `"${[...text].map((char) => escapes.get(char) ?? (isPrintable(char) ? char : escaped(char))).join('')}"`

const escapes = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\x07', '\\a'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\v', '\\v']
])
const isPrintable = (char: string): boolean => char === ' ' || /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(char)

function escaped(char: string): string {
  const code = char.codePointAt(0)!
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`
  return code < 0x1_0000
    ? `\\u${code.toString(16).padStart(4, '0')}`
    : `\\U${code.toString(16).padStart(8, '0')}`
}

/** As fmt.Sprint: blanks between operands neither of which is a string. */
export const print = (values: readonly unknown[]): string =>
  values
    .map((value, index) => {
      const between = index > 0 && typeof value !== 'string' && typeof values[index - 1] !== 'string'
      return (between ? ' ' : '') + format(value)
    })
    .join('')
