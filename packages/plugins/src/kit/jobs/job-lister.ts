export interface JobListerOptions {
  /** Asks the backend once; resolves with what is going on. Does not throw. */
  ask(): Promise<Standing>
  /** Takes what the backend knows by itself; resolves with whether it is to be asked soon. Does not throw. */
  look(): Promise<boolean>
  /** Milliseconds between the end of a question and the next one. */
  readonly shortestMs: number
  readonly longestMs: number
}

/** `moving`: something has changed or is expected to. `still`: nothing has. `empty`: there is no job to ask for. */
export type Standing = 'moving' | 'still' | 'empty'

/** Without a job of its own, the backend is only asked for what may have been left with it. */
const emptyMs = 60_000
const growth = 1.5

/** When the backend is asked: often while something changes, the more seldom the longer nothing does. */
export class JobLister {
  readonly #options: JobListerOptions
  #timer: NodeJS.Timeout | undefined
  /** Of the timer, by the monotonic clock. */
  #due = Infinity
  #pauseMs: number
  #asking = false
  #hurried = false
  #woken = false
  #closed = false

  constructor(options: JobListerOptions) {
    this.#options = options
    this.#pauseMs = options.shortestMs
  }

  /** Something has begun or is about to end. */
  hurry(): void {
    this.#pauseMs = this.#options.shortestMs
    if (this.#asking) this.#hurried = true
    else if (this.#due > performance.now() + this.#pauseMs) this.#wait(this.#pauseMs)
  }

  /** Something has changed. */
  wake(): void {
    if (this.#asking) this.#woken = true
    else void this.#look()
  }

  /** Asks at once, and from then on at its own pace. */
  async start(): Promise<void> {
    await this.#ask()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    this.#due = performance.now() + ms
    this.#timer = setTimeout(() => void this.#ask(), ms)
    this.#timer.unref()
  }

  async #ask(): Promise<void> {
    const { shortestMs, longestMs, ask } = this.#options
    this.#asking = true
    this.#hurried = false
    this.#woken = false
    const standing = await ask()
    this.#asking = false
    if (this.#hurried || standing === 'moving') this.#pauseMs = shortestMs
    else this.#pauseMs = standing === 'empty' ? emptyMs : Math.min(this.#pauseMs * growth, longestMs)
    this.#wait(this.#pauseMs)
    if (this.#woken) await this.#look()
  }

  /** The next question stays when it was, unless it is wanted earlier. */
  async #look(): Promise<void> {
    const due = this.#due
    clearTimeout(this.#timer)
    this.#asking = true
    let isWanted = false
    do {
      this.#woken = false
      isWanted = (await this.#options.look()) || isWanted
    } while (this.#woken && !this.#closed)
    this.#asking = false
    if (this.#hurried || isWanted) this.#pauseMs = this.#options.shortestMs
    this.#hurried = false
    this.#wait(Math.min(Math.max(0, due - performance.now()), this.#pauseMs))
  }
}
