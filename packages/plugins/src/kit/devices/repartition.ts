import { bestFit } from './best-fit.ts'
import type { Card, MigInstance, Sharing, SharingOf } from './card.ts'
import type { CardPool } from './card-pool.ts'
import { migGeometries } from './mig-geometry.ts'
import { choose, rankOf, type Wish } from './place.ts'
import { migPlacements, shapeOf, type Placement } from './shape.ts'

/** What would be done to a card that nobody uses. It is only a plan: somebody says yes to it. */
export interface Repartition {
  readonly card: Card
  readonly to: Sharing
  /** The card is reset, so that nothing else may have it open. */
  readonly resets: boolean
  /** What is done, as argv in order; nvidia-smi(1). */
  readonly commands: readonly (readonly string[])[]
}

/**
 * Which idle cards would have to be shared in another way for a wish to find room; undefined where that does not help
 * either. Cards that anybody uses stay as they are. The pool is left as it was.
 */
export function planRepartition(pool: CardPool, wish: Wish): readonly Repartition[] | undefined {
  // Who has been told which devices it gets is not to have others.
  if (wish.exactly) return choose(pool, wish) ? [] : undefined
  const changes: Repartition[] = []
  try {
    while (!choose(pool, wish)) {
      const next = nextChange(pool, wish, changes)
      if (!next) return undefined
      changes.push(next)
      pool.add({ ...next.card, sharing: next.to })
    }
    return changes
  } finally {
    for (const { card } of changes) pool.add(card)
  }
}

/** Of the kind of which most are idle, so that some of each kind stay as they are. */
function nextChange(pool: CardPool, wish: Wish, changes: readonly Repartition[]): Repartition | undefined {
  const missing = wish.resources.find(
    (_, index) => !choose(pool, { ...wish, resources: wish.resources.slice(0, index + 1) })
  )
  const idle = [...pool.groups()]
    .filter((group) => rankOf(wish, group) !== undefined)
    .map(({ byState }) => [...(byState.get(0)?.values() ?? [])])
    .sort((a, b) => b.length - a.length)
    .flat()
  for (const card of idle) {
    if (changes.some((change) => change.card.id === card.id)) continue
    const to = missing === undefined ? undefined : sharingFor(card, missing)
    if (to) return { card, to, ...howTo(card, to) }
  }
  return undefined
}

/** How a card would have to be shared to offer a resource that it does not offer now. */
function sharingFor(card: Card, resource: string): Sharing | undefined {
  const { sharing, vendor } = card
  if ((sharing.type !== 'whole' && sharing.type !== 'mig') || sharing.geometry === undefined) return undefined
  const { geometry } = sharing
  if (sharing.type === 'mig' && resource === `${vendor}/gpu`) return { type: 'whole', geometry }
  const free: SharingOf<'mig'> = { type: 'mig', geometry }
  const fit = bestFit(shapeOf({ vendor, sharing: free }), 0, resource)
  if (!fit) return undefined
  if (sharing.type === 'whole') return free
  return sharing.instances ? { ...free, instances: instancesWith(card, sharing, fit.placement) } : undefined
}

/** As many of the new one as fit beside the instances that can stay. */
function instancesWith(card: Card, sharing: SharingOf<'mig'>, wanted: Placement): MigInstance[] {
  const legal = migPlacements(migGeometries.get(sharing.geometry)!, card.vendor)
  const maskOf = ({ profile, start }: MigInstance) =>
    legal.find((placement) => placement.profile === profile && placement.start === start)!.mask
  const kept = sharing.instances!.filter((instance) => (maskOf(instance) & wanted.mask) === 0)
  return [...kept, { profile: wanted.profile!, start: wanted.start }].sort((a, b) => a.start - b.start)
}

function howTo(card: Card, to: Sharing): Pick<Repartition, 'resets' | 'commands'> {
  const { sharing: from } = card
  const geometry = 'geometry' in to && to.geometry !== undefined ? migGeometries.get(to.geometry) : undefined
  const which = ['-i', card.pci ?? card.uuid ?? card.id]
  const switched = from.type !== to.type
  const instances = to.type === 'mig' ? (to.instances ?? []) : []
  return {
    resets: switched && (geometry?.resetsOnSwitch ?? true),
    commands: [
      ...(from.type === 'mig' && (from.instances?.length ?? 0) > 0
        ? [
            ['nvidia-smi', 'mig', ...which, '-dci'],
            ['nvidia-smi', 'mig', ...which, '-dgi']
          ]
        : []),
      ...(switched ? [['nvidia-smi', ...which, '-mig', to.type === 'mig' ? '1' : '0']] : []),
      ...(instances.length > 0
        ? [
            [
              'nvidia-smi',
              'mig',
              ...which,
              '-cgi',
              instances
                .map(
                  ({ profile, start }) =>
                    `${geometry!.profiles.find(({ name }) => name === profile)!.id}:${start}`
                )
                .join(),
              '-C'
            ]
          ]
        : [])
    ]
  }
}
