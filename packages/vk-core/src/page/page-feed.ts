/** The live half of the page: one snapshot, then what changed, gathered so that a burst is one message. */
import type { Pod } from '@interlink-ts/interlink-api/wire'
import type { NodeShape } from '../node/node-shape.ts'
import type { PodView } from '../pods/types.ts'
import { pageNode, pagePod, type PageNode, type PagePod } from './page-model.ts'

export interface PageSource {
  readonly name: string
  readonly shape: NodeShape
  readonly view: PodView
}

export interface PageSnapshot {
  readonly now: string
  readonly nodes: readonly PageNode[]
  readonly pods: readonly PagePod[]
  /** Pods there are; `pods` has the most telling ones of them. */
  readonly total: number
}

export interface PageChanges {
  readonly now: string
  readonly nodes: readonly PageNode[]
  readonly pods: readonly PagePod[]
  readonly gone: readonly string[]
  readonly total: number
}

/** A browser draws so many rows without effort. */
const maxPods = 1000

export function pageSnapshot(sources: readonly PageSource[]): PageSnapshot {
  const pods = sources.flatMap(({ view }) => view.list().map((pod) => ({ pod, view })))
  return {
    now: new Date().toISOString(),
    nodes: pageNodes(sources),
    pods: telling(pods).map(({ pod, view }) => pagePod(pod, view.jobId(pod.metadata.uid ?? ''))),
    total: pods.length
  }
}

const pageNodes = (sources: readonly PageSource[]): PageNode[] =>
  sources.map(({ name, shape, view }) => pageNode(name, shape, view.list()))

/** What has not ended comes first, then the newest. */
function telling<T extends { readonly pod: Pod }>(pods: readonly T[]): readonly T[] {
  if (pods.length <= maxPods) return pods
  const ended = ({ pod }: T) => Number(pod.status?.phase === 'Succeeded')
  const created = ({ pod }: T) => pod.metadata.creationTimestamp ?? ''
  return [...pods]
    .sort((a, b) => ended(a) - ended(b) || created(b).localeCompare(created(a)))
    .slice(0, maxPods)
}

/**
 * Calls back with what changed since the snapshot, at most every `gatherMs`; nodes are looked at as often as
 * `nodeMs`, since a ping changes them without a pod. Returns the way to stop.
 */
export function followPage(
  sources: readonly PageSource[],
  onChanges: (changes: PageChanges) => void,
  { gatherMs = 200, nodeMs = 2_000 } = {}
): () => void {
  const touched = new Map<PageSource, Set<string>>(sources.map((source) => [source, new Set()]))
  let nodesBefore = JSON.stringify(pageNodes(sources))
  let gathering: NodeJS.Timeout | undefined

  const flush = () => {
    gathering = undefined
    const nodes = pageNodes(sources)
    const nodesNow = JSON.stringify(nodes)
    const pods: PagePod[] = []
    const gone: string[] = []
    let total = 0
    for (const [{ view }, uids] of touched) {
      const list = view.list()
      total += list.length
      if (uids.size === 0) continue
      for (const pod of list) {
        const uid = pod.metadata.uid ?? ''
        if (uids.delete(uid)) pods.push(pagePod(pod, view.jobId(uid)))
      }
      gone.push(...uids)
      uids.clear()
    }
    const same = nodesNow === nodesBefore
    nodesBefore = nodesNow
    if (same && pods.length === 0 && gone.length === 0) return
    onChanges({ now: new Date().toISOString(), nodes: same ? [] : nodes, pods, gone, total })
  }

  const stops = [...touched].map(([{ view }, uids]) =>
    view.onChange((uid) => {
      uids.add(uid)
      gathering ??= setTimeout(flush, gatherMs)
    })
  )
  const nodeTimer = setInterval(() => (gathering ??= setTimeout(flush, 0)), nodeMs)
  return () => {
    for (const stop of stops) stop()
    clearTimeout(gathering)
    clearInterval(nodeTimer)
  }
}
