import { setTimeout as delay } from 'node:timers/promises'
import type { Backend, BackendContext, SubmittedJob } from '../backend.ts'
import { retryPauseMs } from './retry-pause.ts'

/** How long what is being given back is waited for at the end. */
const closeMs = 20_000

/** Has a backend give back what it holds for ended jobs: each again and again, until it has. */
export class Releases {
  readonly #backend: Backend
  readonly #log: BackendContext['log']
  /** By UID. */
  readonly #underWay = new Map<string, Promise<void>>()
  readonly #done = new Set<string>()
  readonly #closing = new AbortController()

  constructor(backend: Backend, log: BackendContext['log']) {
    this.#backend = backend
    this.#log = log
  }

  /** Once more, also where it was done before; one that is under way goes on. */
  start(job: SubmittedJob): void {
    const { uid } = job
    if (this.#underWay.has(uid)) return
    this.#done.delete(uid)
    const release = this.#release(job).finally(() => this.#underWay.delete(uid))
    this.#underWay.set(uid, release)
  }

  isDone(uid: string): boolean {
    return this.#done.has(uid)
  }

  forget(uid: string): void {
    this.#done.delete(uid)
  }

  /** What is in the middle of it comes to its end; what waits to be tried again is the next plugin's. */
  async close(): Promise<void> {
    this.#closing.abort()
    // Where the root goes as well, nobody comes who would know of what is left.
    const late = delay(closeMs, undefined, { ref: false })
    await Promise.race([Promise.allSettled([...this.#underWay.values()]), late])
  }

  async #release(job: SubmittedJob): Promise<void> {
    const { signal } = this.#closing
    for (let turn = 0; ; turn++) {
      try {
        await this.#backend.release?.(job)
        this.#done.add(job.uid)
        return
      } catch (err) {
        this.#log.warn({ uid: job.uid, err }, 'a job was not released; tried again')
      }
      await delay(retryPauseMs(turn), undefined, { ref: false, signal }).catch(() => {})
      if (signal.aborted) return
    }
  }
}
