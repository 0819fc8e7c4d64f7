import type { LeaseLedger } from './lease-ledger.ts'
import type { Lease } from './lease.ts'

/** Who was refused for want of room counts as waiting for this long, unless it asks again. */
const waitMs = 60_000

/** Who has found no room and is still there, in the order in which they came. */
export class WaitingRequests {
  readonly #ledger: Pick<LeaseLedger, 'get'>
  readonly #now: () => number
  /** UIDs, and when they last asked. */
  readonly #askedAt = new Map<string, number>()

  constructor(ledger: Pick<LeaseLedger, 'get'>, now: () => number) {
    this.#ledger = ledger
    this.#now = now
  }

  add(uid: string): void {
    this.#askedAt.set(uid, this.#now())
  }

  delete(uid: string): void {
    this.#askedAt.delete(uid)
  }

  leases(): Lease[] {
    const since = this.#now() - waitMs
    return [...this.#askedAt].flatMap(([uid, at]) => {
      const lease = this.#ledger.get(uid)
      if (lease?.phase === 'requested' && at >= since) return [lease]
      this.#askedAt.delete(uid)
      return []
    })
  }
}
