import { Readable } from 'node:stream'
import { encodeStatus, type WatchEvent } from '@interlink-ts/interlink-api/wire'
import type { Change, StatusBoard } from '../jobs/status-board.ts'

export interface WatchStreamOptions {
  /** Only pods that were created for this virtual node. */
  readonly node?: string
  readonly cursor?: string
  readonly heartbeatMs: number
}

/**
 * The body of `GET /watch`, as lines of JSON. A reader that is slow gets the newest status of each pod when it is
 * ready for it, and the states between are left out.
 */
export class WatchStream extends Readable {
  readonly #board: StatusBoard
  readonly #node: string | undefined
  readonly #pending = new Map<string, Change>()
  readonly #unsubscribe: () => void
  readonly #heartbeat: NodeJS.Timeout
  /** The pods of the opening list that have not been sent yet; a bookmark is due when there are none. */
  #opening: Set<string> | undefined
  #sent: number
  #reset: boolean
  #wanted = false
  #beat = false

  constructor(board: StatusBoard, options: WatchStreamOptions) {
    super({ encoding: 'utf8', highWaterMark: 64 * 1024 })
    this.#board = board
    this.#node = options.node
    const resumed = options.cursor === undefined ? undefined : board.since(options.cursor)
    this.#reset = resumed === undefined
    this.#sent = board.sequence
    for (const change of resumed ?? board.all()) this.#add(change)
    this.#opening = new Set(this.#pending.keys())
    this.#unsubscribe = board.subscribe((change) => {
      this.#add(change)
      this.#flow()
    })
    this.#heartbeat = setInterval(() => {
      this.#beat = true
      this.#flow()
    }, options.heartbeatMs)
    this.#heartbeat.unref()
  }

  override _read(): void {
    this.#wanted = true
    this.#flow()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#unsubscribe()
    clearInterval(this.#heartbeat)
    this.#pending.clear()
    callback(error)
  }

  #add(change: Change): void {
    const nodeName = 'gone' in change ? change.nodeName : change.status.nodeName
    if (this.#node !== undefined && nodeName !== this.#node) return
    this.#pending.delete(change.uid)
    this.#pending.set(change.uid, change)
  }

  #flow(): void {
    while (this.#wanted) {
      const event = this.#next()
      if (!event) return
      this.#wanted = this.push(`${JSON.stringify(encode(event))}\n`)
    }
  }

  /** Changes leave in the order of their sequence, so that each cursor stands for all before it. */
  #next(): WatchEvent | undefined {
    if (this.#reset) {
      this.#reset = false
      return { type: 'reset' }
    }
    if (this.#opening?.size === 0) {
      this.#opening = undefined
      return { type: 'bookmark', cursor: this.#board.cursor(this.#sent) }
    }
    const [change] = this.#pending.values()
    if (change) {
      this.#pending.delete(change.uid)
      this.#opening?.delete(change.uid)
      this.#sent = Math.max(this.#sent, change.sequence)
      this.#beat = false
      return this.#board.event(change)
    }
    if (!this.#beat) return undefined
    this.#beat = false
    return { type: 'bookmark', cursor: this.#board.cursor(this.#board.sequence) }
  }
}

const encode = (event: WatchEvent): unknown =>
  event.type === 'status' ? { ...event, status: encodeStatus(event.status) } : event
