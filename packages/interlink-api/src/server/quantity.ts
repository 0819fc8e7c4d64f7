const suffixes: Readonly<Record<string, number>> = {
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

/** The sum of Kubernetes quantities, in the suffix they share, else plain; what is no quantity is left out. */
export function addQuantities(values: readonly string[]): string | undefined {
  const parsed = values.flatMap((value) => {
    const match = /^(\d+(?:\.\d*)?(?:[eE]\d+)?)([A-Za-z]{0,2})$/.exec(value.trim())
    const factor = match && suffixes[match[2]!]
    return match && factor !== undefined && factor !== null
      ? [{ number: Number(match[1]), suffix: match[2]!, factor }]
      : []
  })
  if (parsed.length === 0) return undefined
  const shared = parsed.every(({ suffix }) => suffix === parsed[0]!.suffix) ? parsed[0]!.suffix : undefined
  const total = parsed.reduce(
    (sum, { number, factor }) => sum + number * (shared === undefined ? factor : 1),
    0
  )
  if (Number.isInteger(total)) return `${total}${shared ?? ''}`
  return shared === undefined ? `${Math.round(total * 1000)}m` : `${Number(total.toFixed(3))}${shared}`
}
