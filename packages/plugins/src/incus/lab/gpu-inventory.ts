/** Graphics cards of a remote, who wishes for one, and who has one. */
import { PluginError } from '../../errors.ts'
import { isRunning, type Devices, type InstanceRecord } from './instance-record.ts'
import type { Profile } from './profiles.ts'
import type { LabServer } from './remotes.ts'
import { printable } from './scope.ts'

export interface Card {
  /** `0000:3b:00.0` */
  readonly pci: string
  readonly model: string
  /** PCI vendor, such as `10de`. */
  readonly vendor: string
  readonly uuid?: string
}

interface CardRecord {
  readonly pci_address?: string
  readonly vendor?: string
  readonly vendor_id?: string
  readonly product?: string
  readonly product_id?: string
  readonly nvidia?: { readonly uuid?: string; readonly model?: string } | null
}

/** The picture on a server's own screen is no accelerator: ASPEED, Matrox. */
const screens = ['1a03', '102b']

/** Cards that Incus sees in the machine, by PCI address. */
export async function cardsOf(server: LabServer): Promise<readonly Card[]> {
  const { gpu } = await server.get<{ gpu?: { cards?: readonly CardRecord[] | null } }>('/1.0/resources')
  return (gpu?.cards ?? [])
    .filter(({ pci_address: pci, vendor_id: vendor }) => pci && !screens.includes(vendor ?? ''))
    .map((card) => ({
      pci: card.pci_address!,
      vendor: card.vendor_id ?? '',
      model: card.nvidia?.model ?? card.product ?? `${card.vendor_id ?? '?'}:${card.product_id ?? '?'}`,
      ...(card.nvidia?.uuid ? { uuid: card.nvidia.uuid } : {})
    }))
    .sort((a, b) => (a.pci < b.pci ? -1 : 1))
}

/** As sysfs writes it; the domain may be left out. @throws PluginError LAB_INVALID */
export function parsePci(text: string): string {
  const [, domain = '0000', rest] =
    /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[01][0-9a-f]\.[0-7])$/i.exec(text) ?? []
  if (rest === undefined)
    throw new PluginError('LAB_INVALID', {
      field: 'pci',
      reason: `"${printable(text)}" is no PCI address: expected one such as 0000:3b:00.0`
    })
  return `${domain.slice(-4)}:${rest}`.toLowerCase()
}

/** A whole card that an instance is to have: by a profile, as FIGO does it, or by a device of its own. */
export interface Wish {
  readonly by: 'profile' | 'device'
  /** Of the profile or the device. */
  readonly name: string
  readonly pci: string | undefined
}

/** Of whole cards; slices are made for one instance and not moved. */
const wholeCards = (devices: Devices) =>
  Object.entries(devices).filter(
    ([, { type, gputype = 'physical' }]) => type === 'gpu' && gputype === 'physical'
  )

/** Of a profile: the card that it stands for, where it stands for one. */
export function cardOfProfile({ devices }: Pick<Profile, 'devices'>): string | undefined {
  const [first] = wholeCards(devices)
  return first && normal(first[1].pci)
}

export const isGpuProfile = ({ devices }: Pick<Profile, 'devices'>): boolean => wholeCards(devices).length > 0

const normal = (pci: string | undefined): string | undefined => {
  try {
    return pci === undefined ? undefined : parsePci(pci)
  } catch {
    return pci
  }
}

/** In the order in which they were added. */
export function wishesOf(
  { profiles, devices }: Pick<InstanceRecord, 'profiles' | 'devices'>,
  known: ReadonlyMap<string, Pick<Profile, 'devices'>>
): readonly Wish[] {
  const byProfile = profiles.flatMap((name) => {
    const profile = known.get(name)
    return profile && isGpuProfile(profile)
      ? [{ by: 'profile' as const, name, pci: cardOfProfile(profile) }]
      : []
  })
  const byDevice = wholeCards(devices).map(([name, { pci }]) => ({
    by: 'device' as const,
    name,
    pci: normal(pci)
  }))
  return [...byProfile, ...byDevice]
}

/** Cards that an instance is to have, be it by profile or device. */
export const cardsWished = ({ expanded_devices: devices }: InstanceRecord): readonly (string | undefined)[] =>
  wholeCards(devices).map(([, { pci }]) => normal(pci))

export const claimKey = 'user.interlink.gpu-claim'

export interface Claim {
  /** Milliseconds since 1970, by the clock of who wrote it. */
  readonly at: number
  readonly cards: readonly string[]
}

export const writeClaim = ({ at, cards }: Claim): string => `${new Date(at).toISOString()} ${cards.join(',')}`

export function readClaim(text: string | undefined): Claim | undefined {
  const [time = '', cards = ''] = (text ?? '').split(' ')
  const at = Date.parse(time)
  return Number.isNaN(at) || cards === '' ? undefined : { at, cards: cards.split(',') }
}

/** Who was killed between claim and start does not keep a card for ever; clocks may differ by as much. */
export const claimMs = 5 * 60_000

export interface Holder {
  /** `project.instance` */
  readonly instance: string
  /** It runs; else it is about to be started. */
  readonly running: boolean
}

/** Who has which card now; a running instance that names none has them all. */
export function holdersOf(
  records: readonly InstanceRecord[],
  cards: readonly Card[],
  now: number
): ReadonlyMap<string, readonly Holder[]> {
  const held = new Map<string, Holder[]>()
  const add = (pci: string, holder: Holder) => held.set(pci, [...(held.get(pci) ?? []), holder])
  for (const record of records) {
    const instance = `${record.project}.${record.name}`
    if (isRunning(record)) {
      for (const pci of new Set(cardsWished(record)))
        if (pci === undefined) cards.forEach((card) => add(card.pci, { instance, running: true }))
        else add(pci, { instance, running: true })
      continue
    }
    const claim = readClaim(record.config[claimKey])
    if (claim && Math.abs(now - claim.at) < claimMs)
      for (const pci of claim.cards) add(pci, { instance, running: false })
  }
  return held
}
