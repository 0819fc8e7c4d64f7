/** What the benches of batch systems share: pods handed over against bare calls, and how old the plugin's answers are. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PodStatus, RetrievedPodData } from '@interlink-ts/interlink-api/wire'
import { eventually } from '../support/eventually.ts'
import { spawnReaped } from '../support/reaper.ts'
import type { BackendProcess } from './backend-process.ts'
import { againstCeiling, memoryOf, round, type Figures } from './figures.ts'

const callers = 16

export async function createAll(plugin: BackendProcess, pods: readonly RetrievedPodData[]): Promise<void> {
  const next = pods[Symbol.iterator]()
  const worker = async () => {
    for (const pod of next) await plugin.client.create(pod)
  }
  await Promise.all(Array.from({ length: callers }, worker))
}

interface Submissions {
  readonly plugin: BackendProcess
  readonly pods: readonly RetrievedPodData[]
  /** Hands over one job as the pods are; `{}` in it is the number of the job. */
  readonly bare: readonly [program: string, ...args: string[]]
  readonly env: NodeJS.ProcessEnv
  /** Calls of `bare` at the same time, as of the plugin. */
  readonly atOnce: number
}

/** Pods by the plugin, and as many bare calls; the ceiling is the mean of a loop before and one after. */
export async function againstBare(
  { plugin, pods, bare, env, atOnce }: Submissions,
  say: (text: string) => void
): Promise<Figures> {
  const perSecond = async (work: () => Promise<unknown>) => {
    const from = performance.now()
    await work()
    return (pods.length / (performance.now() - from)) * 1000
  }
  const loop = () => perSecond(() => callOver({ bare, env, atOnce }, pods.length))
  const before = await loop()
  const bySelf = await perSecond(() => createAll(plugin, pods))
  const after = await loop()
  const ceiling = (before + after) / 2
  const times = round(ceiling / bySelf, 2)
  say(`${round(bySelf)} submissions/s, bare ${bare[0]} ${round(ceiling)}/s: ${times} times`)
  return { ...againstCeiling('submissionsPerSecond', bySelf, ceiling), submissionTimesBare: times }
}

async function callOver(
  { bare, env, atOnce }: Pick<Submissions, 'bare' | 'env' | 'atOnce'>,
  count: number
): Promise<void> {
  const child = spawnReaped('xargs', ['-P', String(atOnce), '-I{}', ...bare], {
    env,
    stdio: ['pipe', 'ignore', 'inherit']
  })
  child.stdin!.end(Array.from({ length: count }, (_, index) => `${index}\n`).join(''))
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`xargs ${bare[0]} ended with ${code}`)
}

/** When the supervisor said that all of a pod had ended, epoch ms; its containers have said so just before. */
export async function finishedAt(root: string, directory: string): Promise<number> {
  const path = join(root, directory, 'state/pod')
  const text = await eventually(() => readFile(path, 'utf8').catch(() => undefined))
  return Number(/^finished=(\d+)$/m.exec(text)![1])
}

/** Every status of the plugin's watch, with the time it came. */
export function watchStatuses(plugin: BackendProcess) {
  const history = new Map<string, { readonly at: number; readonly status: PodStatus }[]>()
  const abort = new AbortController()
  const read = async () => {
    for await (const event of plugin.client.watch({ node: 'vk', signal: abort.signal }))
      if (event.type === 'status') {
        const { status } = event
        history.set(status.UID, [...(history.get(status.UID) ?? []), { at: Date.now(), status }])
      }
  }
  const done = read().catch((error: unknown) => {
    if (!abort.signal.aborted) throw error
  })
  return {
    /** When each pod was first seen so. */
    all: (uids: readonly string[], holds: (status: PodStatus) => unknown): Promise<Map<string, number>> =>
      Promise.race([
        eventually(
          () => {
            const times = uids.map((uid) => history.get(uid)?.find(({ status }) => holds(status))?.at)
            return times.every((at) => at !== undefined)
              ? new Map(uids.map((uid, index) => [uid, times[index]!]))
              : undefined
          },
          { deadlineMs: 180_000 }
        ),
        done.then(() => Promise.reject(new Error('the watch has ended')))
      ]),
    close: () => abort.abort()
  }
}

/** What so many jobs have cost the plugin; `empty` is its memory before. */
export async function memoryWith(
  { plugin, say }: { readonly plugin: BackendProcess; readonly say: (text: string) => void },
  jobs: number,
  empty: { readonly rss: number }
): Promise<Figures> {
  const { rss, peak } = await memoryOf(plugin.pid)
  say(`${jobs} jobs: plugin ${rss} MB (${empty.rss} MB with none)`)
  return { jobs, pluginEmptyRssMB: empty.rss, pluginRssMB: rss, pluginPeakRssMB: peak }
}
