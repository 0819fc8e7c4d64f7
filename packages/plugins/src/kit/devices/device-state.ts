import { join } from 'node:path'
import { ownDirectory } from '@interlink-ts/interlink-api/config'
import { PluginError } from '../../errors.ts'
import { lockRoot, type RootLock } from '../jobs/root-lock.ts'
import { CardPool } from './card-pool.ts'
import type { Card } from './card.ts'
import { LeaseJournal, type JournalStore } from './lease-journal.ts'
import { LeaseLedger, type LedgerOptions } from './lease-ledger.ts'
import type { Lease, LeaseRecord } from './lease.ts'
import { shapeOf } from './shape.ts'

export interface DeviceStateOptions {
  /** Of this account alone; the journal lies here. */
  readonly dir: string
  readonly inventory: readonly Card[]
  readonly ledger?: LedgerOptions
  /** In the place of a file in `dir`. */
  readonly store?: JournalStore
}

const journalName = 'leases.journal'
/** A journal is written anew once it has this many records, most of which are of leases that are over. */
const compactAbove = 1_000

/** The journal, the ledger that it makes, and the pool that mirrors the ledger; changed by {@link commit} alone. */
export class DeviceState {
  readonly ledger: LeaseLedger
  readonly pool = new CardPool()
  readonly #journal: LeaseJournal
  readonly #lock: RootLock | undefined
  #cards = new Map<string, Card>()
  #away: ReadonlySet<string> = new Set()
  #compactAt = compactAbove

  private constructor(journal: LeaseJournal, ledger: LeaseLedger, lock: RootLock | undefined) {
    this.#journal = journal
    this.ledger = ledger
    this.#lock = lock
  }

  /** @throws PluginError `PLUGIN_DEVICES_JOURNAL`, `PLUGIN_ROOT_IN_USE` */
  static async open({ dir, inventory, ledger: options, store }: DeviceStateOptions): Promise<DeviceState> {
    const path = join(dir, journalName)
    if (!store) await ownDirectory(dir, journalName)
    const lock = store ? undefined : await lockRoot(dir)
    try {
      const { journal, records } = await LeaseJournal.open(path, store)
      const ledger = new LeaseLedger(options)
      try {
        for (const record of records) ledger.apply(record)
      } catch (error) {
        await journal.close()
        const reason = `${(error as Error).message}; it is not the journal of one broker`
        throw new PluginError('PLUGIN_DEVICES_JOURNAL', { path, reason }, error)
      }
      const state = new DeviceState(journal, ledger, lock)
      state.install(inventory)
      return state
    } catch (error) {
      await lock?.release()
      throw error
    }
  }

  /** Resolves when these are durable, all of them; only then has anything changed. */
  async commit(records: readonly LeaseRecord[], now: number): Promise<void> {
    if (records.length === 0) return
    await this.#journal.append(records)
    const touched = new Set<string>()
    for (const record of records) {
      if ('uid' in record)
        for (const { card } of this.ledger.get(record.uid)?.holdings ?? []) touched.add(card)
      if ('card' in record) touched.add(record.card)
      if (record.type === 'bind') for (const { card } of record.holdings) touched.add(card)
      this.ledger.apply(record)
    }
    const all = [...touched].every((id) => this.#cards.has(id)) ? touched : this.#cards.keys()
    for (const id of all) this.#mirror(id)
    const { records: written } = this.#journal
    if (written < this.#compactAt || written < 8 * this.ledger.size) return
    await this.#journal.compact(this.ledger.snapshot(now))
    this.#compactAt = this.#journal.records + compactAbove
  }

  /** What there is now. Leases of a card that is missing stay. @returns the ids of cards that have gone */
  install(inventory: readonly Card[]): string[] {
    const before = this.#cards
    this.#cards = new Map(inventory.map((card) => [card.id, card]))
    const gone = [...before.keys()].filter((id) => !this.#cards.has(id))
    for (const id of gone) this.pool.remove(id)
    for (const id of this.#cards.keys()) this.#mirror(id)
    return gone
  }

  /** Cards that cannot be given at the moment; they keep their leases. @returns those that could be given before */
  setAway(cards: ReadonlySet<string>): string[] {
    const gone = [...cards].filter((id) => this.#cards.has(id) && !this.#away.has(id))
    this.#away = cards
    for (const id of this.#cards.keys()) this.#mirror(id)
    return gone
  }

  isAway(id: string): boolean {
    return this.#away.has(id)
  }

  /** What there is, be it away or not. */
  inventory(): IterableIterator<Card> {
    return this.#cards.values()
  }

  /** A card as it is shared now. */
  card(id: string): Card | undefined {
    return this.pool.get(id)?.card
  }

  holdersOf(card: string): Lease[] {
    return [...this.ledger.leases()].filter(({ holdings }) => holdings.some((held) => held.card === card))
  }

  async close(): Promise<void> {
    await this.#journal.close()
    await this.#lock?.release()
  }

  #mirror(id: string): void {
    const found = this.#cards.get(id)
    if (!found) return
    const card = { ...found, sharing: this.ledger.sharing(id) ?? found.sharing }
    this.pool.add(card, this.ledger.taken(id))
    const isFit = this.ledger.drained(id) === undefined && !this.#away.has(id)
    this.pool.setOpen(id, isFit && this.#isAsBound(card))
  }

  /** A card that came back under another id or cut in another way takes nobody before its holders have gone. */
  #isAsBound(card: Card): boolean {
    const { placements } = shapeOf(card)
    const place = placeOf(card)
    for (const { holdings } of this.ledger.leases())
      for (const held of holdings) {
        if (held.card !== card.id && (place === undefined || held.place !== place)) continue
        const legal = placements.get(held.resource)?.find(({ start }) => start === held.start)
        if (held.card !== card.id || legal?.mask !== held.mask) return false
      }
    return true
  }
}

export const placeOf = ({ host, pci }: Card): string | undefined =>
  pci === undefined ? undefined : `${host} ${pci}`
