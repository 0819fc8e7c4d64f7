/** Kubernetes quantities as numbers of the base unit (cores, bytes, pieces). */

const suffixes: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60
}
const pattern = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|(n|u|m|k|[MGTPE]i?|Ki)?)$/

/** The value, or undefined when it is no quantity. Exact to 2^53. Source: apimachinery, pkg/api/resource. */
export function parseQuantity(text: string | number | undefined): number | undefined {
  if (typeof text === 'number') return text
  const match = text === undefined ? null : pattern.exec(text.trim())
  if (!match) return undefined
  const [, digits = '', exponent, suffix = ''] = match
  if (exponent !== undefined) return Number(`${digits}e${exponent}`)
  const factor = suffixes[suffix] ?? 1
  // 100m must be exactly 0.1: dividing is exact where multiplying by 1e-3 is not.
  return factor < 1 ? Number(digits) / Math.round(1 / factor) : Number(digits) * factor
}

/** How many divisors fit, rounded up, as `resourceFieldRef` shows it. */
export function divideUp(value: number, divisor: number): string {
  const quotient = value / (divisor > 0 ? divisor : 1)
  const rounded = Math.round(quotient)
  return String(Math.abs(quotient - rounded) < 1e-9 ? rounded : Math.ceil(quotient))
}
