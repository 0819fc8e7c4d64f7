import type { PingResponse } from '@interlink-ts/interlink-api/wire'
import type { CardPool } from './card-pool.ts'
import { modelLabel } from './device-request.ts'
import { roomFor } from './one-card.ts'
import { shapeOf } from './shape.ts'

type Accelerator = NonNullable<NonNullable<PingResponse['resources']>['accelerators']>[number]

export interface NodeOffer {
  /** Of the ping: each resource with how many there could be at most, and how many can be had now. */
  readonly accelerators: readonly Accelerator[]
  /** `accelerator` where there is one model, and `accelerator.interlink.io/<model>: <count>` for each. */
  readonly labels: Readonly<Record<string, string>>
  /** `accelerator-FPGA=<model>:NoSchedule` keeps pods away that do not know what an FPGA is. */
  readonly taints: readonly { readonly key: string; readonly value: string; readonly effect: string }[]
}

export interface NodeOfferOptions {
  /** Keeps ordinary pods off nodes that have FPGAs. @default false */
  readonly fpgaTaint?: boolean
}

/**
 * What a node is told. The slices of a card take room from each other, so that the sum over all resources is more than
 * there is: what does not fit any more is refused when it is bound, and `free` says how many of each fit now.
 */
export function nodeOffer(pool: CardPool, { fpgaTaint = false }: NodeOfferOptions = {}): NodeOffer {
  const totals = new Map<string, { available: number; free: number; models: Set<string> }>()
  const models = new Map<string, number>()
  const fpgas = new Set<string>()
  for (const { card, state, open } of pool.cards()) {
    const shape = shapeOf(card)
    const model = modelLabel(card.model)
    models.set(model, (models.get(model) ?? 0) + 1)
    if (card.sharing.type === 'fpga') fpgas.add(model)
    for (const resource of shape.resources) {
      const total = totals.get(resource) ?? { available: 0, free: 0, models: new Set<string>() }
      totals.set(resource, total)
      // What a closed card lends already stays; more is not to be had of it.
      total.available += open ? roomFor(shape, 0, resource) : 0
      total.free += open ? roomFor(shape, state, resource) : 0
      total.models.add(card.model)
    }
  }
  const [only, ...others] = models.keys()
  return {
    accelerators: [...totals]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([resourceType, { available, free, models }]) => ({
        resourceType,
        available: String(available),
        free: String(free),
        models: [...models].sort()
      })),
    labels: {
      ...(only !== undefined && others.length === 0 ? { accelerator: only } : {}),
      ...Object.fromEntries(
        [...models].map(([model, count]) => [`accelerator.interlink.io/${model}`, String(count)])
      )
    },
    taints: fpgaTaint
      ? [...fpgas].sort().map((value) => ({ key: 'accelerator-FPGA', value, effect: 'NoSchedule' }))
      : []
  }
}
