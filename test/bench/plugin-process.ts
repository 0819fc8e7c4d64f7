import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { signalGroup, spawnReaped } from '../support/reaper.ts'

const path = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

export interface PluginCounts {
  create: number
  status: number
  ping: number
  delete: number
  logs: number
  watch: number
  /** Pods it knows. */
  jobs: number
  /** Open watch streams. */
  watchers: number
  /** Different pods whose status it has told anybody since the last reset. */
  reported: number
}

export interface InstantPlugin {
  url: string
  counts(): Promise<PluginCounts>
  /** Sets all counts to zero; the pods stay. */
  reset(): Promise<void>
  /** Ends the running pods with exit code 0, so many a second; 0: all at once. */
  finish(perSecond: number): Promise<void>
  /** When each pod was finished, in epoch milliseconds by UID. */
  finished(): Promise<Record<string, number>>
  stop(): void
}

/** Starts `instant-plugin.ts` as a process of its own. */
export async function startInstantPlugin(): Promise<InstantPlugin> {
  const child = spawnReaped(
    process.execPath,
    ['--import', path('../../scripts/lib/typescript.mjs'), path('instant-plugin.ts')],
    { stdio: ['ignore', 'pipe', 'inherit'] }
  )
  const [line] = (await once(child.stdout!, 'data')) as [Buffer]
  const url = line.toString().trim()
  const order = async <T>(command: string): Promise<T> =>
    (await fetch(`${url}/control/${command}`)).json() as T
  return {
    url,
    counts: () => order('counts'),
    reset: () => order('reset'),
    finish: (perSecond) => order(`finish?perSecond=${perSecond}`),
    finished: () => order('finished'),
    stop: () => signalGroup(child, 'SIGKILL')
  }
}
