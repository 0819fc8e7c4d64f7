/**
 * Which card an instance has is decided when it starts: one that another has by then is exchanged for one that is
 * free. Pure.
 */
import { cardOfProfile, isGpuProfile, type Card, type Holder, type Wish } from './gpu-inventory.ts'
import type { Devices, InstanceRecord } from './instance-record.ts'
import type { Profile } from './profiles.ts'

export interface Binding {
  readonly cards: readonly string[]
  readonly profiles: readonly string[]
  /** Those of the instance's own that change. */
  readonly devices: Devices
  /** For people: what was exchanged. */
  readonly exchanged: readonly { readonly from: string; readonly to: string }[]
}

export interface Refused {
  readonly reason: string
  readonly fix: string
}

/**
 * @param holders of cards; the instance's own claim must not be among them
 * @param profiles that the instance may have, by name
 */
export function bindCards(
  { profiles: had, devices: own }: Pick<InstanceRecord, 'profiles' | 'devices'>,
  wishes: readonly Wish[],
  cards: readonly Card[],
  holders: ReadonlyMap<string, readonly Holder[]>,
  profiles: ReadonlyMap<string, Profile>
): Binding | Refused {
  const vague = wishes.find(({ by, pci }) => by === 'profile' && pci === undefined)
  if (vague)
    return {
      reason: `profile ${vague.name} has a card without its PCI address, which is every card`,
      fix: `set pci of its device; interlink lab gpu pci-addr shows the addresses`
    }
  const taken = new Set<string>([...holders.keys()])
  const isFree = (pci: string) => !taken.has(pci) && cards.some((card) => card.pci === pci)
  const chosen: { readonly wish: Wish; readonly pci: string; readonly profile?: string }[] = []
  const open: Wish[] = []
  // Those that can stay do, before others look for what is left.
  for (const wish of wishes) {
    if (wish.pci !== undefined && isFree(wish.pci)) {
      taken.add(wish.pci)
      chosen.push({ wish, pci: wish.pci })
    } else open.push(wish)
  }
  for (const wish of open) {
    const found =
      wish.by === 'device'
        ? cards.filter(({ pci }) => isFree(pci)).map(({ pci }) => ({ pci }))[0]
        : alternatives(wish.name, profiles).find(({ pci }) => isFree(pci))
    if (!found) return refusal(wish, wishes.length, cards, holders)
    taken.add(found.pci)
    chosen.push({ wish, ...found })
  }
  const swaps = new Map(
    chosen.flatMap(({ wish, profile }) => (profile === undefined ? [] : [[wish.name, profile] as const]))
  )
  const moved = chosen.filter(({ wish, pci }) => wish.by === 'device' && wish.pci !== pci)
  return {
    cards: chosen.map(({ pci }) => pci),
    profiles: had.map((name) => swaps.get(name) ?? name),
    devices: Object.fromEntries(
      moved.map(({ wish, pci }) => [wish.name, { ...own[wish.name], pci }])
    ) as Devices,
    exchanged: chosen
      .filter(({ wish, pci }) => wish.pci !== pci)
      .map(({ wish, pci, profile }) => ({
        from: wish.by === 'profile' ? wish.name : (wish.pci ?? wish.name),
        to: profile ?? pci
      }))
  }
}

/** Of one kind are those whose names begin alike up to the second dash: `gpu-vm-…`, `gpu-cnt-…`. */
const kindOf = (name: string): string => /^gpu-(?:vm|cnt)-/.exec(name)?.[0] ?? 'other'

/** Profiles of the same kind, each with its card. */
export function alternatives(name: string, profiles: ReadonlyMap<string, Profile>) {
  return [...profiles.values()]
    .filter((profile) => isGpuProfile(profile) && kindOf(profile.name) === kindOf(name))
    .flatMap((profile) => {
      const pci = cardOfProfile(profile)
      return pci === undefined ? [] : [{ pci, profile: profile.name }]
    })
    .sort((a, b) => (a.profile < b.profile ? -1 : 1))
}

function refusal(
  wish: Wish,
  wanted: number,
  cards: readonly Card[],
  holders: ReadonlyMap<string, readonly Holder[]>
): Refused {
  const free = cards.filter(({ pci }) => !holders.has(pci))
  const who = cards.flatMap(({ pci }) =>
    (holders.get(pci) ?? []).map(({ instance }) => `${pci} is of ${instance}`)
  )
  if (cards.length === 0)
    return {
      reason: `it wants ${wanted} of the remote's cards, which has none`,
      fix: 'take it away by interlink lab gpu remove, or mend the driver of the card'
    }
  if (wish.by === 'profile' && free.length > 0)
    return {
      reason: `there is no profile of the kind of ${wish.name} for the ${free.length} free of the ${cards.length} cards`,
      fix: 'interlink lab profile init makes one for each card'
    }
  return {
    reason: `it wants ${wanted} of the ${cards.length} cards, of which ${free.length} are free${who.length > 0 ? ` (${who.join(', ')})` : ''}`,
    fix: 'stop one of those that have a card, or take one away by interlink lab gpu remove'
  }
}
