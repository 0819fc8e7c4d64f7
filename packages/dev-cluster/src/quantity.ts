/** Kubernetes quantities. Source: apimachinery/pkg/api/resource. */
const suffixes = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E']
const binary = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']
const pattern = /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+)|([KMGTPE]i)|([numkMGTPE]))?$/
const nano = 1_000_000_000n

interface Parsed {
  /** In billionths; what is smaller is rounded up. */
  readonly nanos: bigint
  readonly form: 'binary' | 'decimal' | 'exponent'
}

function parse(text: string): Parsed | undefined {
  const match = pattern.exec(text)
  if (!match) return undefined
  const [, sign, whole = '', fraction = '', exponent, power, suffix = ''] = match
  if (!whole && !fraction) return undefined
  const digits = BigInt(whole + fraction)
  const tens = exponent === undefined ? 3 * (suffixes.indexOf(suffix) - 3) : Number(exponent)
  const scale = 9 + tens - fraction.length
  if (Math.abs(scale) > 60) return undefined
  const unit = power ? 1024n ** BigInt(binary.indexOf(power)) : 1n
  const scaled = scale >= 0 ? digits * unit * 10n ** BigInt(scale) : up(digits * unit, 10n ** BigInt(-scale))
  return {
    nanos: sign === '-' ? -scaled : scaled,
    form: power ? 'binary' : exponent === undefined ? 'decimal' : 'exponent'
  }
}

const up = (value: bigint, divisor: bigint) => (value + divisor - 1n) / divisor

/** A quantity as a number; 0 for what is none. */
export function quantity(text: unknown): number {
  const parsed = typeof text === 'string' || typeof text === 'number' ? parse(String(text)) : undefined
  return parsed ? Number(parsed.nanos) / 1e9 : 0
}

/** A quantity the one way the API writes it: `0.5` as `500m`, `1024Mi` as `1Gi`; undefined for what is none. */
export function canonical(text: string): string | undefined {
  const parsed = parse(text)
  if (!parsed) return undefined
  const { nanos, form } = parsed
  const sign = nanos < 0n ? '-' : ''
  const size = nanos < 0n ? -nanos : nanos
  if (size === 0n) return '0'
  if (form === 'binary' && size % nano === 0n && size >= 1024n * nano) {
    const [value, step] = reduce(size / nano, 1024n, binary.length - 1)
    return sign + String(value) + binary[step]
  }
  const [value, step] = reduce(size, 1000n, suffixes.length - 1)
  if (form !== 'exponent') return sign + String(value) + suffixes[step]
  return sign + String(value) + (step === 3 ? '' : `e${3 * (step - 3)}`)
}

/** A value divided by the base while nothing is lost, and how often. */
function reduce(value: bigint, base: bigint, most: number): [bigint, number] {
  let step = 0
  let left = value
  for (; step < most && left % base === 0n; step++) left /= base
  return [left, step]
}
