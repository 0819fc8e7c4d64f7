/** An answer that is asked for behind the back of those who need it: they get the newest there is, at once. */
export class Newest<T> {
  readonly #ask: () => Promise<T>
  readonly #freshMs: number
  readonly #onError: (error: unknown) => void
  /** The newest answer, without asking for a newer one. */
  value: T | undefined
  #askedAt = -Infinity
  #asking = false

  constructor(ask: () => Promise<T>, freshMs: number, onError: (error: unknown) => void) {
    this.#ask = ask
    this.#freshMs = freshMs
    this.#onError = onError
  }

  /** Undefined until the first answer; one that is old stays until there is another. */
  get(): T | undefined {
    if (!this.#asking && performance.now() - this.#askedAt >= this.#freshMs) void this.#refresh()
    return this.value
  }

  async #refresh(): Promise<void> {
    this.#asking = true
    this.#askedAt = performance.now()
    try {
      this.value = await this.#ask()
    } catch (error) {
      this.#onError(error)
    } finally {
      this.#asking = false
    }
  }
}
