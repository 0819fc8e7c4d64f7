import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { PodStatus, WatchEvent } from '@interlink-ts/interlink-api/wire'

/** A change as a watcher sees it; `sequence` grows with every change of any pod. */
export type Change =
  | { readonly sequence: number; readonly uid: string; readonly status: PodStatus }
  | { readonly sequence: number; readonly uid: string; readonly gone: true; readonly nodeName: string }

/** How many pods that have gone are remembered for watchers that come back. */
const maxGone = 10_000

/**
 * The newest status of every pod, and in which order they changed. A watcher that comes back is given what has
 * changed since, each pod once with its newest status, so that memory is bounded by the pods, not by their history.
 */
export class StatusBoard {
  readonly #epoch = randomBytes(4).toString('hex')
  readonly #statuses = new Map<string, Extract<Change, { status: PodStatus }>>()
  readonly #gone = new Map<string, Extract<Change, { gone: true }>>()
  readonly #listeners = new Set<(change: Change) => void>()
  #sequence = 0
  /** Changes up to here may have been forgotten. */
  #forgotten = 0

  get(uid: string): PodStatus | undefined {
    return this.#statuses.get(uid)?.status
  }

  get size(): number {
    return this.#statuses.size
  }

  /** Tells watchers where it differs from the status before. */
  set(uid: string, status: PodStatus): void {
    if (isDeepStrictEqual(this.#statuses.get(uid)?.status, status)) return
    const change = { sequence: ++this.#sequence, uid, status }
    this.#statuses.delete(uid)
    this.#statuses.set(uid, change)
    this.#tell(change)
  }

  /** Tells watchers that a pod has gone, be it that it was never reported. */
  remove(uid: string, nodeName: string): void {
    this.#statuses.delete(uid)
    const change = { sequence: ++this.#sequence, uid, gone: true, nodeName } as const
    this.#gone.set(uid, change)
    if (this.#gone.size > maxGone) {
      const [oldest] = this.#gone.values()
      this.#gone.delete(oldest!.uid)
      this.#forgotten = oldest!.sequence
    }
    this.#tell(change)
  }

  get sequence(): number {
    return this.#sequence
  }

  cursor(sequence: number): string {
    return `${this.#epoch}-${sequence}`
  }

  /** What has changed since a cursor, in order; undefined where that is not known any more: start from all. */
  since(cursor: string): Change[] | undefined {
    const [epoch, text] = cursor.split('-')
    const sequence = Number(text)
    if (epoch !== this.#epoch || !Number.isSafeInteger(sequence)) return undefined
    if (sequence < this.#forgotten || sequence > this.#sequence) return undefined
    return [...this.#statuses.values(), ...this.#gone.values()]
      .filter((change) => change.sequence > sequence)
      .sort((a, b) => a.sequence - b.sequence)
  }

  /** Every status, in the order of the last changes. */
  all(): Change[] {
    return [...this.#statuses.values()]
  }

  /** Returns the way to stop. */
  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** The change as it travels. */
  event(change: Change): WatchEvent {
    const cursor = this.cursor(change.sequence)
    return 'gone' in change
      ? { type: 'gone', cursor, UID: change.uid }
      : { type: 'status', cursor, status: change.status }
  }

  #tell(change: Change): void {
    for (const listener of this.#listeners) listener(change)
  }
}
