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
const shape =
  /^([+-]?)(\d{1,40})?(?:(\.)(\d{0,40}))?(?:(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E)|[eE]([+-]?\d{1,2}))?$/

/**
 * Parses a Kubernetes quantity into nano units, the finest precision it can carry; what is finer is rounded
 * up, as the API server does. Undefined when the text is no quantity.
 * Source: k8s.io/apimachinery/pkg/api/resource.
 */
export function parseQuantity(value: string | number): bigint | undefined {
  const match = shape.exec(String(value))
  if (!match) return undefined
  const [, sign, whole = '', , fraction = '', suffix = '', exponent] = match
  if (whole === '' && fraction === '') return undefined
  const digits = BigInt(whole + fraction)
  const factor = binary[suffix]
  const power = NANO - fraction.length + (exponent ? Number(exponent) : factor ? 0 : (decimal[suffix] ?? 0))
  const scaled = digits * (factor ?? 1n)
  const nano = power >= 0 ? scaled * 10n ** BigInt(power) : ceilDivide(scaled, 10n ** BigInt(-power))
  return sign === '-' ? -nano : nano
}

/** Millis (of a cpu) of a quantity in nano units, rounded up. */
export function toMillis(nano: bigint): number {
  return Number(ceilDivide(nano, 1_000_000n))
}

/** Whole units (bytes, devices) of a quantity in nano units, rounded up. */
export function toUnits(nano: bigint): number {
  return Number(ceilDivide(nano, 1_000_000_000n))
}

export function isWhole(nano: bigint): boolean {
  return nano % 1_000_000_000n === 0n
}

function ceilDivide(value: bigint, by: bigint): bigint {
  return (value + by - 1n) / by
}
