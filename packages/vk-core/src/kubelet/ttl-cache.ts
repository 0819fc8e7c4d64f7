/** Remembers answers for a while, the newest `max` of them; asks once for callers that come together. */
export class TtlCache<T> {
  readonly #entries = new Map<string, { readonly value: Promise<T>; expires: number }>()
  readonly #max: number
  readonly #now: () => number

  constructor({ max = 1024, now = Date.now }: { max?: number; now?: () => number } = {}) {
    this.#max = max
    this.#now = now
  }

  /** `ttlMs` tells how long an answer holds; a failure is never remembered. */
  get(key: string, ask: () => Promise<T>, ttlMs: (answer: T) => number): Promise<T> {
    const found = this.#entries.get(key)
    if (found && found.expires > this.#now()) return found.value
    const value = ask()
    const entry = { value, expires: Infinity }
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    value.then(
      (answer) => (entry.expires = this.#now() + ttlMs(answer)),
      () => this.#entries.get(key) === entry && this.#entries.delete(key)
    )
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#max) break
      this.#entries.delete(oldest)
    }
    return value
  }
}
