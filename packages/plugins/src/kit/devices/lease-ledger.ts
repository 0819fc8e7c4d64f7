import type { Sharing } from './card.ts'
import type { Lease, LeaseRecord } from './lease.ts'

/** Parts that were taken back for somebody, who has not come for them yet. */
export interface Hold {
  readonly card: string
  readonly mask: number
  readonly for: string
  readonly until: number
}

export interface LedgerOptions {
  /** After which time half of what a project has used is forgotten. @default a week */
  readonly halfLifeMs?: number
  /** How long parts are kept for who has taken them back. @default 10 minutes */
  readonly holdMs?: number
}

/**
 * Who holds what, as the records of the journal say, one after the other: the same records make the same ledger. What
 * would give parts of a card to two holders is no record of a sound journal and is refused.
 */
export class LeaseLedger {
  readonly #leases = new Map<string, Lease>()
  readonly #taken = new Map<string, number>()
  readonly #drained = new Map<string, string>()
  readonly #sharing = new Map<string, Sharing>()
  readonly #usage = new Map<string, { at: number; cardSeconds: number }>()
  #holds: Hold[] = []
  #token = 0
  readonly #halfLifeMs: number
  readonly #holdMs: number

  constructor({ halfLifeMs = 7 * 86_400_000, holdMs = 600_000 }: LedgerOptions = {}) {
    this.#halfLifeMs = halfLifeMs
    this.#holdMs = holdMs
  }

  get(uid: string): Lease | undefined {
    return this.#leases.get(uid)
  }

  leases(): IterableIterator<Lease> {
    return this.#leases.values()
  }

  get size(): number {
    return this.#leases.size
  }

  /** The bits of a card that have a holder. */
  taken(card: string): number {
    return this.#taken.get(card) ?? 0
  }

  /** Why a card takes nobody new. */
  drained(card: string): string | undefined {
    return this.#drained.get(card)
  }

  /** How a card is shared since it was re-partitioned. */
  sharing(card: string): Sharing | undefined {
    return this.#sharing.get(card)
  }

  holds(now: number): readonly Hold[] {
    return this.#holds.filter(({ until }) => until > now)
  }

  get nextToken(): number {
    return this.#token + 1
  }

  /** Seconds of whole cards that a project has had, the older the less; what it has now counts too. */
  usage(project: string, now: number): number {
    let sum = this.#decayed(project, now)
    for (const { request, boundAt, holdings } of this.#leases.values())
      if (request.project === project && boundAt !== undefined)
        sum += shareOf(holdings) * seconds(boundAt, now)
    return sum
  }

  /** @throws RangeError where the record cannot follow those before it; nothing has changed then */
  apply(record: LeaseRecord): void {
    switch (record.type) {
      case 'request': {
        const { request, at } = record
        if (!this.#leases.has(request.uid))
          this.#leases.set(request.uid, { request, phase: 'requested', requestedAt: at, holdings: [] })
        return
      }
      case 'bind':
        return this.#bind(record)
      case 'fence': {
        this.#leases.set(record.uid, { ...this.#bound(record.uid), token: record.token })
        this.#token = Math.max(this.#token, record.token)
        return
      }
      case 'realise':
        return this.#realise(record)
      case 'notice': {
        const lease = this.#bound(record.uid)
        this.#leases.set(record.uid, { ...lease, notice: record.notice })
        return
      }
      case 'release':
        return this.#release(record)
      case 'hold': {
        const { card, mask, until } = record
        this.#holds.push({ card, mask, until, for: record.for })
        return
      }
      case 'drain':
        if (record.reason === undefined) this.#drained.delete(record.card)
        else this.#drained.set(record.card, record.reason)
        return
      case 'sharing':
        if (this.taken(record.card) !== 0) throw new RangeError(`card ${record.card} is in use`)
        this.#sharing.set(record.card, record.sharing)
        return
      case 'usage':
        this.#usage.set(record.project, { at: record.at, cardSeconds: record.cardSeconds })
        return
      case 'token':
        this.#token = Math.max(this.#token, record.token)
    }
  }

  /** Records that make the same ledger; for a journal that starts anew. */
  snapshot(now: number): LeaseRecord[] {
    const records: LeaseRecord[] = [{ type: 'token', token: this.#token }]
    for (const [card, reason] of this.#drained) records.push({ type: 'drain', card, reason })
    for (const [card, sharing] of this.#sharing) records.push({ type: 'sharing', card, sharing })
    for (const [project, { at, cardSeconds }] of this.#usage)
      records.push({ type: 'usage', project, at, cardSeconds })
    for (const hold of this.holds(now)) records.push({ type: 'hold', ...hold })
    for (const { request, requestedAt, boundAt, token, holdings, until, notice } of this.#leases.values()) {
      records.push({ type: 'request', at: requestedAt, request })
      if (boundAt === undefined) continue
      records.push({
        type: 'bind',
        uid: request.uid,
        at: boundAt,
        token: token!,
        holdings: [...holdings],
        ...(until === undefined ? {} : { until })
      })
      if (notice) records.push({ type: 'notice', uid: request.uid, notice })
    }
    return records
  }

  #bind({ uid, at, token, holdings, until }: LeaseRecord & { type: 'bind' }): void {
    const lease = this.#leases.get(uid)
    if (lease?.phase !== 'requested') throw new RangeError(`lease ${uid} is ${lease?.phase ?? 'not known'}`)
    const taken = new Map<string, number>()
    for (const { card, mask } of holdings) {
      const before = taken.get(card) ?? this.taken(card)
      if ((before & mask) !== 0) throw new RangeError(`card ${card}: parts of lease ${uid} have a holder`)
      taken.set(card, before | mask)
    }
    for (const [card, mask] of taken) this.#taken.set(card, mask)
    this.#token = Math.max(this.#token, token)
    this.#holds = this.#holds.filter((hold) => hold.for !== uid)
    this.#leases.set(uid, {
      ...lease,
      phase: 'bound',
      boundAt: at,
      token,
      holdings,
      ...(until === undefined ? {} : { until })
    })
  }

  #realise({ uid, token, uuids }: LeaseRecord & { type: 'realise' }): void {
    const lease = this.#bound(uid)
    if (lease.token !== token) throw new RangeError(`lease ${uid} has another token`)
    this.#leases.set(uid, {
      ...lease,
      holdings: lease.holdings.map((holding) => {
        const made = uuids.find(({ card, start }) => card === holding.card && start === holding.start)
        return made ? { ...holding, uuid: made.uuid } : holding
      })
    })
  }

  #release({ uid, at }: LeaseRecord & { type: 'release' }): void {
    const lease = this.#leases.get(uid)
    if (!lease) return
    this.#leases.delete(uid)
    this.#holds = this.#holds.filter((hold) => hold.for !== uid && hold.until > at)
    const { request, boundAt, holdings, notice } = lease
    for (const { card, mask } of holdings) {
      this.#taken.set(card, this.taken(card) & ~mask)
      if (notice?.for !== undefined && this.#leases.get(notice.for)?.phase === 'requested')
        this.#holds.push({ card, mask, for: notice.for, until: at + this.#holdMs })
    }
    if (boundAt === undefined) return
    const cardSeconds = this.#decayed(request.project, at) + shareOf(holdings) * seconds(boundAt, at)
    this.#usage.set(request.project, { at, cardSeconds })
  }

  #bound(uid: string): Lease {
    const lease = this.#leases.get(uid)
    if (lease?.phase !== 'bound') throw new RangeError(`lease ${uid} is not bound`)
    return lease
  }

  #decayed(project: string, now: number): number {
    const { at, cardSeconds } = this.#usage.get(project) ?? { at: now, cardSeconds: 0 }
    return cardSeconds * 0.5 ** (Math.max(0, now - at) / this.#halfLifeMs)
  }
}

const seconds = (from: number, to: number): number => Math.max(0, to - from) / 1000
const shareOf = (holdings: Lease['holdings']): number => holdings.reduce((sum, { share }) => sum + share, 0)
