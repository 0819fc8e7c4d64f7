import { format, quote } from './values.ts'

const verb = /%(?<flags>[-+# 0]*)(?<width>\d+)?(?:\.(?<precision>\d*))?(?<verb>[^])?/g

/** As fmt.Sprintf with the verbs v s q d t x X o b c U e f g; what fits none is told in the text, as there. */
export function printf(pattern: string, values: readonly unknown[]): string {
  let used = 0
  const text = pattern.replace(verb, (...match) => {
    const { flags = '', width, precision, verb = '' } = match.at(-1) as Record<string, string | undefined>
    if (verb === '%') return '%'
    if (verb === '') return '%!(NOVERB)'
    if (used >= values.length) return `%!${verb}(MISSING)`
    const value = values[used++]
    const digits = precision === undefined ? undefined : Number(precision || '0')
    const body = formatVerb(verb, value, flags, digits)
    if (body === undefined) return `%!${verb}(${typeOf(value)}=${format(value)})`
    return pad(body, flags, Number(width ?? 0), typeof value === 'number')
  })
  const rest = values.slice(used)
  return rest.length === 0
    ? text
    : `${text}%!(EXTRA ${rest.map((value) => `${typeOf(value)}=${format(value)}`).join(', ')})`
}

function formatVerb(
  verb: string,
  value: unknown,
  flags: string,
  digits: number | undefined
): string | undefined {
  if (verb === 'v') return signed(value, format(value), flags)
  if (verb === 't') return typeof value === 'boolean' ? String(value) : undefined
  if (typeof value === 'string') return formatString(verb, value, digits)
  if (typeof value === 'number') {
    const text = formatNumber(verb, value, flags, digits)
    return text === undefined ? undefined : signed(value, text, flags)
  }
  if (Array.isArray(value) && 'sdq'.includes(verb))
    return `[${value.map((each) => formatVerb(verb, each, flags, digits) ?? format(each)).join(' ')}]`
  return undefined
}

function formatString(verb: string, value: string, digits: number | undefined): string | undefined {
  const cut = digits === undefined ? value : [...value].slice(0, digits).join('')
  if (verb === 's') return cut
  if (verb === 'q') return quote(cut)
  if (verb !== 'x' && verb !== 'X') return undefined
  const hex = Buffer.from(cut).toString('hex')
  return verb === 'x' ? hex : hex.toUpperCase()
}

const bases: Readonly<Record<string, number>> = { d: 10, x: 16, X: 16, o: 8, b: 2 }

function formatNumber(
  verb: string,
  value: number,
  flags: string,
  digits: number | undefined
): string | undefined {
  const base = bases[verb]
  if (base !== undefined) {
    if (!Number.isInteger(value)) return undefined
    const text = Math.abs(value)
      .toString(base)
      .padStart(digits ?? 0, '0')
    const prefix = flags.includes('#') && base === 16 ? '0x' : ''
    return `${value < 0 ? '-' : ''}${prefix}${verb === 'X' ? text.toUpperCase() : text}`
  }
  if (verb === 'c') return String.fromCodePoint(value)
  if (verb === 'q') return `'${quote(String.fromCodePoint(value)).slice(1, -1)}'`
  if (verb === 'U') return `U+${value.toString(16).toUpperCase().padStart(4, '0')}`
  if (verb === 'f' || verb === 'F') return value.toFixed(digits ?? 6)
  if (verb === 'e') return value.toExponential(digits ?? 6).replace(/e([+-])(\d)$/, 'e$10$2')
  if (verb === 'g') return digits === undefined ? format(value) : String(Number(value.toPrecision(digits)))
  return undefined
}

const signed = (value: unknown, text: string, flags: string): string => {
  if (typeof value !== 'number' || value < 0) return text
  return flags.includes('+') ? `+${text}` : flags.includes(' ') ? ` ${text}` : text
}

function pad(text: string, flags: string, width: number, isNumber: boolean): string {
  const lacks = width - [...text].length
  if (lacks <= 0) return text
  if (flags.includes('-')) return text + ' '.repeat(lacks)
  if (!flags.includes('0')) return ' '.repeat(lacks) + text
  const sign = isNumber && /^[+-]/.test(text) ? text[0]! : ''
  return sign + '0'.repeat(lacks) + text.slice(sign.length)
}

const typeOf = (value: unknown): string =>
  value === null || value === undefined
    ? '<nil>'
    : typeof value === 'number'
      ? Number.isInteger(value)
        ? 'int'
        : 'float64'
      : typeof value === 'boolean'
        ? 'bool'
        : typeof value
