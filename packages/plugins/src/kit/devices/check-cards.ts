import type { Backend, Check } from '../backend.ts'
import type { DevicesOptions } from './devices-options.ts'
import { readCards } from './open-broker.ts'

/** For `interlink doctor`: whether an inventory can be lent, and what of it the backend does not see. */
export async function checkCards(
  options: DevicesOptions,
  backend: Pick<Backend, 'refuseCard' | 'away'>
): Promise<Check> {
  const { inventory } = options
  try {
    const cards = await readCards(options, backend)
    const away = (await backend.away?.(cards)) ?? new Set()
    const unseen = cards.filter(({ id }) => away.has(id)).map(({ id }) => id)
    return unseen.length === 0
      ? { name: 'devices', ok: true, detail: `${cards.length} cards of ${inventory}` }
      : {
          name: 'devices',
          ok: false,
          detail: `${unseen.length} of ${cards.length} cards are not to be seen, and nobody gets them: ${unseen.join(', ')}`,
          fix: `compare their \`pci\` and \`host\` in ${inventory} with what the server shows`
        }
  } catch (error) {
    const fix = 'mend the inventory; docs/reference/devices.md has its keys'
    return { name: 'devices', ok: false, detail: (error as Error).message, fix }
  }
}
