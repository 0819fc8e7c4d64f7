/** The live half of the page: one snapshot, then what changed, gathered so that a burst is one message. */
import type { Pod } from '@interlink-ts/interlink-api/wire'
import type { NodeShape } from '../node/node-shape.ts'
import type { PodView } from '../pods/types.ts'
import { pageNode, pagePod, type PageNode, type PagePod } from './page-model.ts'

export interface PageSource {
  readonly view: PodView
  readonly nodes: () => readonly { readonly name: string; readonly shape: NodeShape }[]
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

export function pageSnapshot({ view, nodes }: PageSource): PageSnapshot {
  const pods = view.list()
  return {
    now: new Date().toISOString(),
    nodes: pageNodes(nodes(), pods),
    pods: telling(pods).map((pod) => pagePod(pod, view.jobId(pod.metadata.uid ?? ''))),
    total: pods.length
  }
}

function pageNodes(nodes: ReturnType<PageSource['nodes']>, pods: readonly Pod[]): PageNode[] {
  const byNode = new Map<string, Pod[]>()
  for (const pod of pods) {
    const name = pod.spec?.nodeName ?? ''
    const group = byNode.get(name)
    if (group) group.push(pod)
    else byNode.set(name, [pod])
  }
  return nodes.map(({ name, shape }) => pageNode(name, shape, byNode.get(name) ?? []))
}

/** What has not ended comes first, then the newest. */
function telling(pods: readonly Pod[]): readonly Pod[] {
  if (pods.length <= maxPods) return pods
  const ended = (pod: Pod) => Number(pod.status?.phase === 'Succeeded')
  return [...pods]
    .sort(
      (a, b) =>
        ended(a) - ended(b) ||
        (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? '')
    )
    .slice(0, maxPods)
}

/**
 * Calls back with what changed since the snapshot, at most every `gatherMs`; nodes are looked at as often as
 * `nodeMs`, since a ping changes them without a pod. Returns the way to stop.
 */
export function followPage(
  source: PageSource,
  onChanges: (changes: PageChanges) => void,
  { gatherMs = 200, nodeMs = 2_000 } = {}
): () => void {
  const touched = new Set<string>()
  let nodesBefore = JSON.stringify(pageNodes(source.nodes(), source.view.list()))
  let gathering: NodeJS.Timeout | undefined

  const flush = () => {
    gathering = undefined
    const pods = source.view.list()
    const nodes = pageNodes(source.nodes(), pods)
    const nodesNow = JSON.stringify(nodes)
    const changed: PagePod[] = []
    if (touched.size > 0)
      for (const pod of pods) {
        const uid = pod.metadata.uid ?? ''
        if (touched.delete(uid)) changed.push(pagePod(pod, source.view.jobId(uid)))
      }
    const gone = [...touched]
    touched.clear()
    if (changed.length === 0 && gone.length === 0 && nodesNow === nodesBefore) return
    onChanges({
      now: new Date().toISOString(),
      nodes: nodesNow === nodesBefore ? [] : nodes,
      pods: changed,
      gone,
      total: pods.length
    })
    nodesBefore = nodesNow
  }

  const stopView = source.view.onChange((uid) => {
    touched.add(uid)
    gathering ??= setTimeout(flush, gatherMs)
  })
  const nodeTimer = setInterval(() => (gathering ??= setTimeout(flush, 0)), nodeMs)
  return () => {
    stopView()
    clearTimeout(gathering)
    clearInterval(nodeTimer)
  }
}
