import type { Card } from './card.ts'
import { bitCount, shapeOf, type Shape } from './shape.ts'

/** Cards that are alike but for which of their parts are taken. */
export interface CardGroup {
  readonly shape: Shape
  readonly host: string
  readonly vendor: string
  readonly model: string
  readonly owner?: string
  readonly labels: Readonly<Record<string, string>>
  /** Cards that take new users, by state. */
  readonly byState: ReadonlyMap<number, ReadonlyMap<string, Card>>
}

interface Group extends CardGroup {
  readonly byState: Map<number, Map<string, Card>>
}

interface Entry {
  readonly card: Card
  readonly group: Group
  state: number
  open: boolean
}

/**
 * Cards and which of their parts are taken, kept by what tells them apart for a placement: a decision looks at
 * groups and states, of which there are few, and not at every card.
 */
export class CardPool {
  readonly #entries = new Map<string, Entry>()
  readonly #groups = new Map<string, Group>()
  /** Parts in use by host. */
  readonly #inUse = new Map<string, number>()

  constructor(cards: Iterable<Card> = []) {
    for (const card of cards) this.add(card)
  }

  add(card: Card, state = 0): void {
    this.#forget(card.id)
    const entry = { card, group: this.#groupOf(card), state, open: true }
    this.#entries.set(card.id, entry)
    this.#count(entry, 0, state)
    this.#index(entry)
  }

  remove(id: string): void {
    this.#forget(id)
    this.#entries.delete(id)
  }

  /** A closed card takes no new users; those that it has stay. */
  setOpen(id: string, open: boolean): void {
    const entry = this.#entries.get(id)
    if (!entry || entry.open === open) return
    this.#unindex(entry)
    entry.open = open
    this.#index(entry)
  }

  /** @throws RangeError where some of these parts are taken: two holders would have them */
  take(id: string, mask: number): void {
    const entry = this.#entry(id)
    if ((entry.state & mask) !== 0) throw new RangeError(`card ${id}: parts that are asked for are taken`)
    this.#move(entry, entry.state | mask)
  }

  /** @throws RangeError where some of these parts are free */
  give(id: string, mask: number): void {
    const entry = this.#entry(id)
    if ((entry.state & mask) !== mask) throw new RangeError(`card ${id}: parts that come back are free`)
    this.#move(entry, entry.state & ~mask)
  }

  get(id: string): { readonly card: Card; readonly state: number; readonly open: boolean } | undefined {
    return this.#entries.get(id)
  }

  cards(): IterableIterator<{ readonly card: Card; readonly state: number; readonly open: boolean }> {
    return this.#entries.values()
  }

  groups(): IterableIterator<CardGroup> {
    return this.#groups.values()
  }

  inUse(host: string): number {
    return this.#inUse.get(host) ?? 0
  }

  #forget(id: string): void {
    const entry = this.#entries.get(id)
    if (!entry) return
    this.#unindex(entry)
    this.#count(entry, entry.state, 0)
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id)
    if (!entry) throw new RangeError(`there is no card ${id}`)
    return entry
  }

  #groupOf(card: Card): Group {
    const shape = shapeOf(card)
    const { host, vendor, model, owner, labels } = card
    const key = JSON.stringify([shape.key, host, vendor, model, owner, Object.entries(labels).sort()])
    const group = this.#groups.get(key) ?? { shape, host, vendor, model, owner, labels, byState: new Map() }
    this.#groups.set(key, group)
    return group
  }

  #move(entry: Entry, state: number): void {
    this.#unindex(entry)
    this.#count(entry, entry.state, state)
    entry.state = state
    this.#index(entry)
  }

  #count({ card: { host } }: Entry, before: number, after: number): void {
    this.#inUse.set(host, this.inUse(host) + bitCount(after) - bitCount(before))
  }

  #index({ card, group, state, open }: Entry): void {
    if (!open) return
    const cards = group.byState.get(state)
    if (cards) cards.set(card.id, card)
    else group.byState.set(state, new Map([[card.id, card]]))
  }

  #unindex({ card, group, state }: Entry): void {
    const cards = group.byState.get(state)
    if (!cards?.delete(card.id)) return
    if (cards.size === 0) group.byState.delete(state)
  }
}
