import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Card } from '../kit/devices/card.ts'
import type { IncusConnection } from './rest/index.ts'

const Address = Type.Object({ pci_address: Type.Optional(Type.String()) })
/** What of `GET /1.0/resources` tells which cards there are; api.Resources of Incus. */
const Resources = Type.Object({ pci: Type.Object({ devices: Type.Array(Address) }) })

/** Those of these cards that the server does not show. One without a PCI address is there as long as the server is. */
export async function awayCards(
  incus: IncusConnection,
  cards: readonly Card[]
): Promise<ReadonlySet<string>> {
  const found = await incus.get<unknown>('/1.0/resources').catch(() => undefined)
  if (!Value.Check(Resources, found)) return new Set(cards.map(({ id }) => id))
  const there = new Set(found.pci.devices.map(({ pci_address: pci }) => pci))
  return new Set(cards.flatMap(({ id, pci }) => (pci === undefined || there.has(pci) ? [] : [id])))
}
