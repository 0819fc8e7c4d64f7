import { parseYamlConfig } from '@interlink-ts/interlink-api/config'
import type { Card, Sharing } from '../src/kit/devices/card.ts'
import type { JournalStore } from '../src/kit/devices/lease-journal.ts'
import { createPolicy, PolicyOptions, type DevicePolicy } from '../src/kit/devices/policy.ts'

export const mig = (geometry = 'a100-40gb'): Sharing => ({ type: 'mig', geometry })

let made = 0
export const aCard = (sharing: Sharing, more: Partial<Card> = {}): Card => ({
  id: `card-${++made}`,
  host: 'h0',
  vendor: 'nvidia.com',
  model: 'NVIDIA A100-SXM4-40GB',
  labels: {},
  paths: [],
  sharing,
  ...more
})

export const slice = (profile: string): string => `nvidia.com/mig-${profile}`

/** What a disk may do at the next write. */
export type DiskFault = 'full' | 'full and stuck' | 'dies before' | 'dies within' | 'dies after'

/** A medium that keeps what was written when its process dies; then it answers nothing until it is taken up anew. */
export class FaultyDisk implements JournalStore {
  #content: Buffer
  #dead = false
  readonly #fault: () => DiskFault | undefined

  constructor(fault: () => DiskFault | undefined = () => undefined, content: Buffer = Buffer.alloc(0)) {
    this.#fault = fault
    this.#content = content
  }

  get content(): Buffer {
    return this.#content
  }

  get dead(): boolean {
    return this.#dead
  }

  /** As the next process finds it. */
  takenUp(): FaultyDisk {
    this.#dead = true
    return new FaultyDisk(this.#fault, this.#content)
  }

  async read(): Promise<Buffer> {
    this.#alive()
    return this.#content
  }

  async append(text: string): Promise<void> {
    this.#alive()
    const fault = this.#fault()
    const bytes = Buffer.from(text)
    const half = bytes.subarray(0, Math.floor(bytes.length / 2))
    const written =
      fault === undefined || fault === 'dies after' ? bytes : fault === 'dies before' ? Buffer.alloc(0) : half
    this.#content = Buffer.concat([this.#content, written])
    if (fault === undefined) return
    this.#dead = fault !== 'full'
    throw new Error(fault)
  }

  async truncate(length: number): Promise<void> {
    this.#alive()
    this.#content = this.#content.subarray(0, length)
  }

  async replace(text: string): Promise<boolean> {
    this.#alive()
    const fault = this.#fault()
    if (fault === undefined || fault === 'dies after') this.#content = Buffer.from(text)
    if (fault === 'full') return false
    if (fault === undefined) return true
    this.#dead = true
    throw new Error(fault)
  }

  async close(): Promise<void> {}

  #alive(): void {
    if (this.#dead) throw new Error('the process is dead')
  }
}

export const policyWith = (options: object = {}): DevicePolicy =>
  createPolicy(parseYamlConfig(JSON.stringify(options), PolicyOptions, 'policy'))

/** What the broker has that is killed. */
export const killedCards: readonly Card[] = ['GPU-a', 'GPU-b'].map((id) => aCard(mig(), { id }))
