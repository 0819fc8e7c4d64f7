import { setTimeout as sleep } from 'node:timers/promises'
import { PluginError } from '../../errors.ts'
import type { IncusError } from '../rest/index.ts'
import { bindCards, type Binding } from './gpu-binding.ts'
import { cardsOf, claimKey, holdersOf, wishesOf, writeClaim, type Holder } from './gpu-inventory.ts'
import { isRunning, type InstanceRecord } from './instance-record.ts'
import { instancePath, nameOfFound, recordsOf, type Found, type Outcome } from './instances.ts'
import { profilesOf } from './profiles.ts'

/** Others may start at the same moment; each turn waits longer, by chance, and the longer the slower the server is. */
const turns = 8

export interface Started extends Outcome {
  readonly cards: readonly string[]
  readonly exchanged: Binding['exchanged']
}

/**
 * Starts an instance, with cards that nobody else has. The claim is written into the instance, and read again before the
 * start: of two that claim one card at the same time, from whatever machine, none starts with it.
 * @throws PluginError LAB_NO_GPU where too few are free
 */
export async function startInstance(found: Found): Promise<Started> {
  const { server, record } = found
  const instance = nameOfFound(found)
  if (isRunning(record)) return { instance, changed: false, status: record.status, cards: [], exchanged: [] }
  const start = () =>
    server.change('PUT', `${instancePath(found)}/state`, { json: { action: 'start', timeout: 60 } })
  const wishes = await wishesNow(found, record)
  if (wishes.length === 0) {
    await start()
    return { instance, changed: true, status: 'Running', cards: [], exchanged: [] }
  }
  for (let turn = 0; ; turn++) {
    const begun = performance.now()
    const binding = await claim(found)
    if (binding === 'busy') {
      if (turn + 1 < turns) {
        const tookMs = performance.now() - begun
        await sleep(50 + Math.random() * Math.max(200, tookMs) * 2 ** Math.min(turn, 4))
        continue
      }
      throw new PluginError('LAB_NO_GPU', {
        name: instance,
        reason: 'others are starting with the same card all the time',
        fix: 'try again in a moment'
      })
    }
    try {
      await start()
    } finally {
      await release(found)
    }
    return {
      instance,
      changed: true,
      status: 'Running',
      cards: binding.cards,
      exchanged: binding.exchanged
    }
  }
}

async function wishesNow({ server }: Found, record: InstanceRecord) {
  const profiles = new Map((await profilesOf(server)).map((profile) => [profile.name, profile]))
  return wishesOf(record, profiles)
}

/** Binds cards to the instance and claims them; `busy` where another does so at this moment. */
async function claim(found: Found): Promise<Binding | 'busy'> {
  const { server } = found
  const path = instancePath(found)
  const { value: record, etag } = await server.getMarked<InstanceRecord>(path)
  const profiles = new Map((await profilesOf(server)).map((profile) => [profile.name, profile]))
  const cards = await cardsOf(server)
  const others = await holdersWithout(found, cards)
  const wishes = wishesOf(record, profiles)
  const binding = bindCards(record, wishes, cards, others, profiles)
  if ('reason' in binding) {
    // A claim passes; an instance that runs stays.
    const settled = new Map([...others].filter(([, holders]) => holders.some(({ running }) => running)))
    if (!('reason' in bindCards(record, wishes, cards, settled, profiles))) return 'busy'
    throw new PluginError('LAB_NO_GPU', { name: nameOfFound(found), ...binding })
  }
  try {
    await server.change('PATCH', path, {
      json: {
        profiles: binding.profiles,
        devices: binding.devices,
        config: { [claimKey]: writeClaim({ at: Date.now(), cards: binding.cards }) }
      },
      headers: { 'if-match': etag }
    })
  } catch (error) {
    if (((error as Error).cause as IncusError | undefined)?.status === 412) return 'busy'
    throw error
  }
  const after = await holdersWithout(found, cards)
  const before = {
    profiles: record.profiles,
    devices: Object.fromEntries(Object.keys(binding.devices).map((name) => [name, record.devices[name]!]))
  }
  if (binding.cards.every((pci) => !after.has(pci))) return binding
  await release(found, before)
  return 'busy'
}

async function holdersWithout(
  { server, record }: Found,
  cards: Parameters<typeof holdersOf>[1]
): Promise<ReadonlyMap<string, readonly Holder[]>> {
  const records = await recordsOf(server)
  const others = records.filter(({ project, name }) => project !== server.project || name !== record.name)
  return holdersOf(others, cards, Date.now())
}

/** What runs has its cards by running. @param before what an instance had that does not start with what was chosen */
async function release(
  found: Found,
  before: Partial<Pick<InstanceRecord, 'profiles' | 'devices'>> = {}
): Promise<void> {
  const json = { ...before, config: { [claimKey]: '' } }
  await found.server.change('PATCH', instancePath(found), { json }).catch(() => {})
}
