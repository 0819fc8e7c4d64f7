import { ConfigError } from '@interlink-ts/interlink-api/config'
import type { Backend } from '../backend.ts'
import { DeviceBroker } from './broker.ts'
import type { Card } from './card.ts'
import { cardLabel } from './device-names.ts'
import type { DevicesOptions } from './devices-options.ts'
import { loadInventory } from './inventory.ts'
import { createPolicy } from './policy.ts'

/**
 * The broker of a plugin with that root of job directories.
 * @throws ConfigError, PluginError `PLUGIN_DEVICES_JOURNAL`, `PLUGIN_ROOT_IN_USE`
 */
export async function openBroker(
  options: DevicesOptions,
  root: string,
  backend: Pick<Backend, 'refuseCard'>
): Promise<DeviceBroker> {
  const inventory = await readCards(options, backend)
  return DeviceBroker.open({
    dir: options.directory ?? `${root.replace(/\/+$/, '')}.devices`,
    inventory,
    policy: createPolicy(options.policy)
  })
}

/**
 * The cards of the inventory, all of which can be lent by the backend, be they there or not.
 * @throws ConfigError
 */
export async function readCards(
  { inventory: file, offers }: Pick<DevicesOptions, 'inventory' | 'offers'>,
  backend: Pick<Backend, 'refuseCard'>
): Promise<readonly Card[]> {
  const inventory = await loadInventory(file)
  inventory.forEach((card, index) => {
    const reason = unmade(card) ?? backend.refuseCard?.(card)
    const field = `cards[${index}].sharing`
    if (reason !== undefined) throw new ConfigError(`${file}: ${field}: ${reason}`, { file, field })
  })
  if (offers === 'claims') checkNames(inventory, file)
  return inventory
}

/** Claims name devices by DNS labels, of which ids that differ may make one. */
function checkNames(inventory: readonly Card[], file: string): void {
  const ids = new Map<string, string>()
  inventory.forEach((card, index) => {
    const label = cardLabel(card)
    const other = ids.get(label)
    const field = `cards[${index}].id`
    if (label === '' || other !== undefined)
      throw new ConfigError(
        `${file}: ${field}: resource claims name devices by letters and digits, of which ${card.id} has ${label === '' ? 'none' : `the same as ${other} in its first 48`}; rename it`,
        { file, field }
      )
    ids.set(label, card.id)
  })
}

/** A part that nobody has made has no UUID to be told apart by: its holder would see the whole card. */
const unmade = ({ sharing }: Card): string | undefined =>
  sharing.type === 'mig' && !sharing.instances?.every(({ uuid }) => uuid !== undefined)
    ? 'no MIG devices are made here; make them, and name each with the UUID that `nvidia-smi -L` gives in `instances`'
    : undefined
