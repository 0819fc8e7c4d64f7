import { readFile } from 'node:fs/promises'
import { Type, type TSchema } from 'typebox'
import { ConfigError, parseYamlConfig, whyUnreadable, yamlPlaces } from '@interlink-ts/interlink-api/config'
import { Card, sharingTypes } from './card.ts'
import { migGeometries } from './mig-geometry.ts'
import { bitCount, migPlacements } from './shape.ts'

const Inventory = Type.Object(
  { cards: Type.Array(Card, { default: [], description: 'the cards that can be lent' }) },
  { additionalProperties: false }
)

/**
 * The cards of an inventory file.
 * @throws ConfigError naming file, line and key, and what to write there
 */
export async function loadInventory(path: string): Promise<Card[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new ConfigError(`${path} cannot be read: ${whyUnreadable(error)}`, { file: path }, error)
  })
  return parseInventory(text, path)
}

/** {@link loadInventory} of a text that was read already; `file` is only named in errors. */
export function parseInventory(text: string, file: string): Card[] {
  const { cards } = parseYamlConfig(text, Inventory, file)
  const placeOf = yamlPlaces(text, file)
  const fail = (path: readonly string[], reason: string): never => {
    const [index, ...rest] = path
    throw new ConfigError(`${placeOf('cards', ...path)}: cards[${index}].${rest.join('.')}: ${reason}`, {
      file,
      field: `cards[${index}].${rest.join('.')}`
    })
  }
  const complete = cards.map((card, index) => ({
    ...card,
    sharing: sharingOf(card.sharing, (key, reason) => fail([String(index), 'sharing', ...key], reason))
  }))
  complete.forEach((card, index) => {
    const say = (key: string, reason: string) => fail([String(index), ...key.split('.')], reason)
    const twin = complete.findIndex(({ id }) => id === card.id)
    if (twin !== index)
      say('id', `cards[${twin}] has it already; give each card its own UUID or serial number`)
    checkSharing(card, say)
  })
  return complete
}

/** Checks against the one kind that was meant, so that the error is about that. */
function sharingOf(
  sharing: { readonly type: string },
  fail: (key: readonly string[], reason: string) => never
): Card['sharing'] {
  const schema: TSchema = sharingTypes[sharing.type as keyof typeof sharingTypes]
  try {
    return parseYamlConfig(JSON.stringify(sharing), schema, 'sharing') as Card['sharing']
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const { field = '' } = error.details as { field?: string }
    return fail(field.split('.'), error.message.slice(error.message.indexOf(`${field}: `) + field.length + 2))
  }
}

/** What a schema cannot tell. */
function checkSharing({ sharing, vendor }: Card, say: (key: string, reason: string) => void): void {
  const geometryName = 'geometry' in sharing ? sharing.geometry : undefined
  const geometry = geometryName === undefined ? undefined : migGeometries.get(geometryName)
  if (geometryName !== undefined && !geometry)
    say(
      'sharing.geometry',
      `there is no such geometry; expected one of ${[...migGeometries.keys()].join(', ')}`
    )
  if (sharing.type === 'timeslice' && sharing.memoryMiB !== undefined && !sharing.mps)
    say('sharing.memoryMiB', 'nothing keeps this cap without MPS; add sharing.mps, or leave the cap out')
  if (sharing.type !== 'mig' || !geometry || !sharing.instances) return
  let taken = 0
  sharing.instances.forEach(({ profile, start }, index) => {
    const key = `sharing.instances.${index}`
    const placements = migPlacements(geometry, vendor).filter((placement) => placement.profile === profile)
    if (placements.length === 0)
      say(
        `${key}.profile`,
        `${geometry.name} has no such profile; expected one of ${geometry.profiles.map(({ name }) => name).join(', ')}`
      )
    const placement = placements.find((candidate) => candidate.start === start)
    if (!placement)
      say(`${key}.start`, `${profile} begins at ${placements.map((legal) => legal.start).join(', ')}`)
    if (placement && (placement.mask & taken) !== 0)
      say(
        key,
        bitCount(placement.mask & taken & ((1 << geometry.memorySlices) - 1)) > 0
          ? 'overlaps an instance before it; every memory slice belongs to one'
          : 'the media engines are in an instance before it; a card has them once'
      )
    taken |= placement?.mask ?? 0
  })
}
