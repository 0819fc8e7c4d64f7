/** metav1.Time has whole seconds: a fraction would come back cut off, and never be equal to what was sent. */
export function wholeSeconds(time: string | undefined): string | undefined {
  const ms = time === undefined ? NaN : Date.parse(time)
  // Go writes its zero time as year 1.
  return Number.isNaN(ms) || ms <= 0 ? undefined : formatSeconds(ms)
}

export const formatSeconds = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
