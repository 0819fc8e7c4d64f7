import type { Card } from './card.ts'
import { shapeOf, type Placement, type Shape } from './shape.ts'

/** A part of a card, as a claim names it. */
export interface NamedPart {
  readonly card: Card
  readonly placement: Placement
}

/** All that could ever be claimed, by name: open cards and others. Of two of one name the last one is here. */
export function partsByName(cards: Iterable<Card>): Map<string, NamedPart> {
  const parts = new Map<string, NamedPart>()
  for (const card of cards)
    for (const placement of placementsOf(shapeOf(card)))
      parts.set(deviceName(card, placement), { card, placement })
  return parts
}

/** How claims name a part of a card; one name for each part, as long as the cards' ids do not become one label. */
export const deviceName = (card: Card, placement: Pick<Placement, 'profile' | 'start'>): string =>
  shapeOf(card).parts === 1 ? cardLabel(card) : `${cardLabel(card)}-${partName(placement)}`

/** The id of a card as a part of a device's name. */
export const cardLabel = ({ id }: Pick<Card, 'id'>): string => dnsLabel(id)

export const placementsOf = ({ placements }: Shape): Placement[] => [...placements.values()].flat()

const partName = ({ profile, start }: Pick<Placement, 'profile' | 'start'>): string =>
  profile === undefined ? String(start) : `${dnsLabel(profile)}-${start}`

const dnsLabel = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-/, '')
    .slice(0, 48)
    .replace(/-$/, '')
