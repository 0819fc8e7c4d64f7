const NANO = 9
const binary: Readonly<Record<string, bigint>> = {
  Ki: 1n << 10n,
  Mi: 1n << 20n,
  Gi: 1n << 30n,
  Ti: 1n << 40n,
  Pi: 1n << 50n,
  Ei: 1n << 60n
}
const decimal: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  '': 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18
}
const unit = 1_000_000_000n
const shape =
  /^([+-]?)(\d{1,40})?(?:(\.)(\d{0,40}))?(?:(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E)|[eE]([+-]?\d{1,2}))?$/

/**
 * Parses a Kubernetes quantity into nano units, the finest precision it can carry; what is finer is rounded
 * up, as the API server does. Undefined when the text is no quantity.
 * Source: k8s.io/apimachinery/pkg/api/resource.
 */
export function parseQuantity(value: string | number | undefined): bigint | undefined {
  if (value === undefined) return undefined
  const match = shape.exec(String(value))
  if (!match) return undefined
  const [, sign, digits = '', , fraction = '', suffix = '', exponent] = match
  if (digits === '' && fraction === '') return undefined
  const factor = binary[suffix]
  const power = NANO - fraction.length + (exponent ? Number(exponent) : factor ? 0 : (decimal[suffix] ?? 0))
  const scaled = BigInt(digits + fraction) * (factor ?? 1n)
  const nano = power >= 0 ? scaled * 10n ** BigInt(power) : ceilDivide(scaled, 10n ** BigInt(-power))
  return sign === '-' ? -nano : nano
}

/** The amount in whole units with what is left of them, for showing and comparing: exact up to 2^53. */
export function toNumber(nano: bigint): number {
  return Number(nano / unit) + Number(nano % unit) / 1e9
}

/** Millis (of a cpu) of a quantity in nano units, rounded up. */
export function toMillis(nano: bigint): number {
  return Number(ceilDivide(nano, 1_000_000n))
}

/** Whole units (bytes, devices) of a quantity in nano units, rounded up. */
export function toUnits(nano: bigint): number {
  return Number(ceilDivide(nano, unit))
}

export function isWhole(nano: bigint): boolean {
  return nano % unit === 0n
}

/** How many divisors fit, rounded up, as `resourceFieldRef` shows it. */
export function divideUp(nano: bigint, divisor: bigint): string {
  return String(ceilDivide(nano, divisor))
}

/** The sum, in the suffix that all share where it comes out even; what is no quantity is left out. */
export function addQuantities(values: readonly string[]): string | undefined {
  const read = values.flatMap((value) => {
    const nano = parseQuantity(value)
    return nano === undefined ? [] : [{ nano, suffix: /[A-Za-z]*$/.exec(value)![0] }]
  })
  if (read.length === 0) return undefined
  const total = read.reduce((sum, { nano }) => sum + nano, 0n)
  const { suffix } = read[0]!
  const step = parseQuantity(`1${suffix}`)!
  if (read.every((one) => one.suffix === suffix) && total % step === 0n) return `${total / step}${suffix}`
  return isWhole(total) ? String(total / unit) : `${toMillis(total)}m`
}

function ceilDivide(value: bigint, by: bigint): bigint {
  return (value + by - 1n) / by
}
