import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { SubmittedJob } from '../kit/backend.ts'
import { writeAddress } from '../kit/jobs/mirrored-files.ts'
import { readJobState } from '../kit/jobs/job-state.ts'
import type { IncusConnection } from './rest/index.ts'

const Devices = Type.Object({
  expanded_devices: Type.Record(Type.String(), Type.Object({ type: Type.String() }))
})
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

type Place = Pick<SubmittedJob, 'jobId' | 'dir'>

/** Brings the addresses of running instances into the job directories, each asked for until it is there. */
export class Addresses {
  readonly #incus: IncusConnection
  /** Nothing more is to be asked of them. */
  readonly #done = new Set<string>()
  readonly #since = new Map<string, number>()
  /** One look at a time, so that the last one of an instance sees what there is at its end. */
  readonly #turns = new Map<string, Promise<void>>()

  constructor(incus: IncusConnection) {
    this.#incus = incus
  }

  /** Whatever goes wrong, it is asked for again. @param hasNetwork undefined where that is not known yet */
  async look(place: Place, hasNetwork?: boolean): Promise<void> {
    const { jobId } = place
    if (hasNetwork === false || this.#done.has(jobId)) return
    const turn = (this.#turns.get(jobId) ?? Promise.resolve()).then(() => this.#ask(place, hasNetwork))
    const own = turn.catch(() => {})
    this.#turns.set(jobId, own)
    await own
    if (this.#turns.get(jobId) === own) this.#turns.delete(jobId)
  }

  async #ask({ jobId, dir }: Place, hasNetwork: boolean | undefined): Promise<void> {
    if (this.#done.has(jobId)) return
    const since = this.#since.get(jobId) ?? Date.now()
    this.#since.set(jobId, since)
    if (Date.now() - since > patienceMs || (await readJobState(dir)).podIP !== undefined) {
      this.#done.add(jobId)
      return
    }
    const path = `/1.0/instances/${jobId}`
    if (hasNetwork === undefined && !hasNic(await this.#incus.get<unknown>(path))) return
    const found = addressOf(await this.#incus.get<unknown>(`${path}/state`))
    if (found === undefined) return
    await writeAddress(dir, found)
    this.#done.add(jobId)
  }

  forget(instance: string): void {
    this.#done.delete(instance)
    this.#since.delete(instance)
  }
}

/** Whether an instance has a network, as Incus tells of it. */
export const hasNic = (instance: unknown): boolean =>
  Value.Check(Devices, instance) &&
  Object.values(instance.expanded_devices).some(({ type }) => type === 'nic')

/** The first of IPv4, else of IPv6, that others reach. */
function addressOf(state: unknown): string | undefined {
  if (!Value.Check(Networks, state)) return undefined
  const addresses = Object.values(state.network ?? {})
    .filter(({ type }) => type !== 'loopback')
    .flatMap(({ addresses }) => addresses)
    .filter(({ scope }) => scope === 'global')
  return (addresses.find(({ family }) => family === 'inet') ?? addresses[0])?.address
}
