import { PluginError } from '../../errors.ts'
import { alternatives } from './gpu-binding.ts'
import {
  cardOfProfile,
  cardsOf,
  holdersOf,
  isGpuProfile,
  parsePci,
  wishesOf,
  type Card,
  type Wish
} from './gpu-inventory.ts'
import { fullName, isRunning } from './instance-record.ts'
import { instancePath, nameOfFound, recordsOf, requireProject, type Found } from './instances.ts'
import { profilesOf, type Profile } from './profiles.ts'
import type { Away, LabServer, Remotes } from './remotes.ts'

export interface CardStatus extends Card {
  /** `project.instance` of those that run with it: more than one only where somebody else has started them. */
  readonly holders: readonly string[]
  /** Names of profiles that stand for it, in the project `default`. */
  readonly profiles: readonly string[]
}

export interface GpuStatus {
  readonly remote: string
  readonly total: number
  readonly active: number
  readonly available: number
  readonly cards: readonly CardStatus[]
}

export async function gpuStatus(
  remotes: Remotes,
  remote?: string
): Promise<{ readonly remotes: readonly GpuStatus[]; readonly away: readonly Away[] }> {
  const { found, away } = await remotes.each(remote, async (server) => {
    const [cards, records] = await Promise.all([cardsOf(server), recordsOf(server)])
    const profiles = await profilesOf(await remotes.connect(server.remote, 'default'))
    const holders = holdersOf(records, cards, Date.now())
    const status = cards.map((card) => ({
      ...card,
      holders: (holders.get(card.pci) ?? []).map(({ instance }) => instance),
      profiles: profiles.filter((profile) => cardOfProfile(profile) === card.pci).map(({ name }) => name)
    }))
    const active = status.filter((card) => card.holders.length > 0).length
    return {
      remote: server.remote,
      total: cards.length,
      active,
      available: cards.length - active,
      cards: status
    }
  })
  return { remotes: found, away }
}

export interface GpuUse {
  readonly remote: string
  readonly project: string
  readonly instance: string
  readonly status: string
  readonly wishes: readonly Wish[]
}

/** Instances that are to have a card, whether or not they run. */
export async function listGpuUses(
  remotes: Remotes,
  remote?: string
): Promise<{ readonly uses: readonly GpuUse[]; readonly away: readonly Away[] }> {
  const { found, away } = await remotes.each(remote, async (server) => {
    const records = await recordsOf(server)
    const known = new Map<string, ReadonlyMap<string, Profile>>()
    for (const { project } of records)
      if (!known.has(project))
        known.set(project, await profilesByName(await remotes.connect(server.remote, project)))
    return records.map((record) => ({
      remote: server.remote,
      project: record.project,
      instance: record.name,
      status: record.status,
      wishes: wishesOf(record, known.get(record.project)!)
    }))
  })
  return { uses: found.flat().filter(({ wishes }) => wishes.length > 0), away }
}

const profilesByName = async (server: LabServer): Promise<ReadonlyMap<string, Profile>> =>
  new Map((await profilesOf(server)).map((profile) => [profile.name, profile]))

export interface GpuProfile {
  readonly remote: string
  readonly project: string
  readonly name: string
  /** Absent: every card of the machine. */
  readonly pci?: string
  /** The machine has that card. */
  readonly present: boolean
}

export async function listGpuProfiles(
  remotes: Remotes,
  remote?: string,
  project?: string
): Promise<{ readonly profiles: readonly GpuProfile[]; readonly away: readonly Away[] }> {
  const { found, away } = await remotes.each(remote, async (first) => {
    const server = await remotes.connect(first.remote, project ?? 'default')
    if (remote !== undefined) await requireProject(server, server.project)
    const [profiles, cards] = await Promise.all([profilesOf(server), cardsOf(server)])
    return profiles.filter(isGpuProfile).map((profile) => {
      const pci = cardOfProfile(profile)
      return {
        remote: server.remote,
        project: server.project,
        name: profile.name,
        ...(pci === undefined ? {} : { pci }),
        present: pci === undefined || cards.some((card) => card.pci === pci)
      }
    })
  })
  return { profiles: found.flat(), away }
}

export interface GpuChange {
  readonly instance: string
  /** Profiles and devices that were added or taken away. */
  readonly changed: readonly Wish[]
  /** What it is to have now. */
  readonly wishes: readonly Wish[]
}

/**
 * Has a stopped instance want one card more: by a profile of its kind that it has not yet, as FIGO does it, else by a
 * device of its own. Which card it is then gets is decided at its start.
 * @throws PluginError
 */
export async function addGpu(
  found: Found,
  { pci, profile: named }: { readonly pci?: string; readonly profile?: string } = {}
): Promise<GpuChange> {
  const { server, record } = found
  requireStopped(found)
  const wished = pci === undefined ? undefined : parsePci(pci)
  const [cards, profiles] = await Promise.all([cardsOf(server), profilesByName(server)])
  const wishes = wishesOf(record, profiles)
  const instance = nameOfFound(found)
  if (wished !== undefined && !cards.some((card) => card.pci === wished))
    throw new PluginError('LAB_UNKNOWN', {
      kind: `card on remote ${server.remote} at`,
      name: wished,
      fix: cards.length === 0 ? 'it has none' : `there are ${cards.map((card) => card.pci).join(', ')}`
    })
  const wishTwice = wishes.find((wish) => wished !== undefined && wish.pci === wished)
  if (wishTwice || wishes.length >= cards.length)
    throw new PluginError('LAB_NO_GPU', {
      name: instance,
      reason: wishTwice
        ? `it has the card ${wished} already, by ${wishTwice.by} ${wishTwice.name}`
        : `it is to have ${wishes.length} cards already, and remote ${server.remote} has ${cards.length}`,
      fix: 'interlink lab gpu status shows what there is'
    })
  const chosen =
    named === undefined
      ? chooseProfile(found, wishes, profiles, wished)
      : requireGpuProfile(server, profiles, named)
  if (chosen !== undefined && record.profiles.includes(chosen))
    throw new PluginError('LAB_EXISTS', {
      kind: 'profile',
      name: `${chosen} of ${instance}`,
      fix: 'leave --profile out to have another one chosen'
    })
  if (chosen !== undefined) {
    await server.change('PATCH', instancePath(found), { json: { profiles: [...record.profiles, chosen] } })
    const wish: Wish = { by: 'profile', name: chosen, pci: cardOfProfile(profiles.get(chosen)!) }
    return { instance, changed: [wish], wishes: [...wishes, wish] }
  }
  const free = wished ?? (await freeCard(server, cards, wishes))
  const name = freeDeviceName(Object.keys(record.expanded_devices))
  const device = { type: 'gpu', gputype: 'physical', pci: free }
  await server.change('PATCH', instancePath(found), { json: { devices: { [name]: device } } })
  const wish: Wish = { by: 'device', name, pci: free }
  return { instance, changed: [wish], wishes: [...wishes, wish] }
}

function requireStopped(found: Found): void {
  if (!isRunning(found.record)) return
  throw new PluginError('LAB_STATE', {
    name: nameOfFound(found),
    state: 'is running',
    fix: 'stop it first: cards are given at the start'
  })
}

function requireGpuProfile(server: LabServer, profiles: ReadonlyMap<string, Profile>, name: string): string {
  const profile = profiles.get(name)
  if (profile && isGpuProfile(profile)) return name
  const usable = [...profiles.values()].filter(isGpuProfile).map((one) => one.name)
  throw new PluginError('LAB_UNKNOWN', {
    kind: `GPU profile in ${server.remote}:${server.project}`,
    name,
    fix:
      usable.length === 0
        ? 'interlink lab profile init makes one for each card'
        : `there are ${usable.join(', ')}`
  })
}

/** Of the instance's type, and of a card that it has not yet. */
function chooseProfile(
  { record }: Found,
  wishes: readonly Wish[],
  profiles: ReadonlyMap<string, Profile>,
  pci: string | undefined
): string | undefined {
  const kind = record.type === 'virtual-machine' ? 'gpu-vm-' : 'gpu-cnt-'
  return alternatives(kind, profiles).find(
    (one) =>
      !record.profiles.includes(one.profile) &&
      !wishes.some((wish) => wish.pci === one.pci) &&
      (pci === undefined || one.pci === pci)
  )?.profile
}

async function freeCard(server: LabServer, cards: readonly Card[], wishes: readonly Wish[]): Promise<string> {
  const holders = holdersOf(await recordsOf(server), cards, Date.now())
  const own = (pci: string) => wishes.some((wish) => wish.pci === pci)
  const candidates = cards.filter(({ pci }) => !own(pci))
  return (candidates.find(({ pci }) => !holders.has(pci)) ?? candidates[0]!).pci
}

function freeDeviceName(taken: readonly string[]): string {
  for (let index = 0; ; index++) if (!taken.includes(`gpu${index}`)) return `gpu${index}`
}

/** Takes away the last card that a stopped instance is to have, a given one, or all. @throws PluginError */
export async function removeGpu(
  found: Found,
  { all = false, pci }: { readonly all?: boolean; readonly pci?: string } = {}
): Promise<GpuChange> {
  const { server } = found
  requireStopped(found)
  const wished = pci === undefined ? undefined : parsePci(pci)
  const profiles = await profilesByName(server)
  const { value: record, etag } = await server.getMarked<Found['record'] & { description: string }>(
    instancePath(found)
  )
  const wishes = wishesOf(record, profiles)
  const gone = all
    ? wishes
    : wished === undefined
      ? wishes.slice(-1)
      : wishes.filter((wish) => wish.pci === wished)
  if (gone.length === 0 && !all)
    throw new PluginError('LAB_NO_GPU', {
      name: fullName({ remote: server.remote, project: server.project, name: record.name }),
      reason: wished === undefined ? 'it is to have no card' : `it is not to have the card ${wished}`,
      fix: 'interlink lab gpu list shows who is to have which'
    })
  const has = (by: Wish['by'], name: string) => gone.some((wish) => wish.by === by && wish.name === name)
  // A PATCH takes no device away.
  await server.change('PUT', instancePath(found), {
    json: {
      ...record,
      profiles: record.profiles.filter((name) => !has('profile', name)),
      devices: Object.fromEntries(Object.entries(record.devices).filter(([name]) => !has('device', name)))
    },
    headers: { 'if-match': etag }
  })
  return {
    instance: nameOfFound(found),
    changed: gone,
    wishes: wishes.filter((wish) => !gone.includes(wish))
  }
}
