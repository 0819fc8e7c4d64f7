/** What tests of kill -9 share: pods by kubectl, and parts that are killed over and over meanwhile. */
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import type { Kubectl } from './kubectl.ts'

/** Kills a part and starts it again, or resolves with false where there was none to kill. */
export type Kill = () => Promise<unknown>

export interface Chaos {
  /** Resolves with how often each part was killed, once the last of them is back. */
  stop(): Promise<Readonly<Record<string, number>>>
}

/**
 * Kills one part after the other, each a little later in its work than the time before, until told to stop. Between
 * two kills the parts are up for a moment (ms), or nothing would ever be done.
 */
export function killOver(
  parts: readonly (readonly [part: string, kill: Kill])[],
  { shortestMs, stepMs }: { readonly shortestMs: number; readonly stepMs: number }
): Chaos {
  const kills: Record<string, number> = {}
  let stopped = false
  const loop = (async () => {
    for (let turn = 0; !stopped; turn++) {
      const [part, kill] = parts[turn % parts.length]!
      if ((await kill()) !== false) kills[part] = (kills[part] ?? 0) + 1
      await delay(shortestMs + stepMs * (turn % 7))
    }
  })()
  // It is `stop` that tells of it.
  loop.catch(() => {})
  return {
    stop: async () => {
      stopped = true
      await loop
      return kills
    }
  }
}

export const podsBy = (kubectl: Kubectl) => async (): Promise<Pod[]> =>
  (JSON.parse((await kubectl(['get', 'pods', '-o', 'json'])).stdout) as { items: Pod[] }).items

export async function createBy(kubectl: Kubectl, pods: readonly Pod[]): Promise<void> {
  const input = pods.map((pod) => JSON.stringify(pod)).join('\n---\n')
  const result = await kubectl(['create', '-f', '-'], { input })
  if (result.code !== 0) throw new Error(result.stderr)
}

/** `run-007` */
export const nameOf = (prefix: string, index: number): string => `${prefix}-${String(index).padStart(3, '0')}`

export const isFinished = ({ status }: Pod): boolean => ['Succeeded', 'Failed'].includes(status!.phase!)

/** Processes of this machine, by what their files in /proc say; of one that is gone they are empty. */
export async function processesWith(
  holds: (file: (name: 'cmdline' | 'comm' | 'environ') => Promise<string>) => Promise<boolean>
): Promise<number[]> {
  const found: number[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)))
    if (await holds((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')))
      found.push(Number(pid))
  return found
}
