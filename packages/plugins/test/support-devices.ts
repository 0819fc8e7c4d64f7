import type { Card, Sharing } from '../src/kit/devices/card.ts'

/** Numbers from 0 to 1, the same ones for a seed: mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

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
