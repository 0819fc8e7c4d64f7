import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { IncusConnection } from './rest/index.ts'

const Networks = Type.Object({
  network: Type.Union([
    Type.Null(),
    Type.Record(
      Type.String(),
      Type.Object({
        type: Type.String(),
        addresses: Type.Array(
          Type.Object({ family: Type.String(), address: Type.String(), scope: Type.String() })
        )
      })
    )
  ])
})

/** An instance without a network is asked no longer than this; a state costs Incus a look into the instance. */
const patienceMs = 60_000

/** The addresses of running instances, each asked for until it is there. */
export class Addresses {
  readonly #incus: IncusConnection
  readonly #known = new Map<string, string>()
  readonly #since = new Map<string, number>()

  constructor(incus: IncusConnection) {
    this.#incus = incus
  }

  known(instance: string): string | undefined {
    return this.#known.get(instance)
  }

  /** Whatever goes wrong, it is asked for again. */
  async look(instance: string): Promise<string | undefined> {
    const known = this.#known.get(instance)
    const since = this.#since.get(instance) ?? Date.now()
    this.#since.set(instance, since)
    if (known !== undefined || Date.now() - since > patienceMs) return known
    const state = await this.#incus.get<unknown>(`/1.0/instances/${instance}/state`).catch(() => undefined)
    const found = addressOf(state)
    if (found !== undefined) this.#known.set(instance, found)
    return found
  }

  forget(instance: string): void {
    this.#known.delete(instance)
    this.#since.delete(instance)
  }
}

/** The first of IPv4, else of IPv6, that others reach. */
function addressOf(state: unknown): string | undefined {
  if (!Value.Check(Networks, state)) return undefined
  const addresses = Object.values(state.network ?? {})
    .filter(({ type }) => type !== 'loopback')
    .flatMap(({ addresses }) => addresses)
    .filter(({ scope }) => scope === 'global')
  return (addresses.find(({ family }) => family === 'inet') ?? addresses[0])?.address
}
