import { setTimeout as delay } from 'node:timers/promises'
import { startControlPlane } from '../kube/control-plane.ts'
import { measureCeiling, type Ceiling } from './ceiling.ts'
import { eventually } from '../support/eventually.ts'
import { againstCeiling, memoryOf, percentile, round, type Figures } from './figures.ts'
import { KubeRequests } from './kube-requests.ts'
import { nodesReady } from './nodes.ts'
import { startInstantPlugin, type InstantPlugin } from './plugin-process.ts'
import { createNamespace, createPods, sockets } from './pods.ts'
import { PodWatch } from './pod-watch.ts'
import { startProduct, type NodeProcess } from './product.ts'

const idleSeconds = 20
const nodeName = 'bench'

interface Run {
  /** What its figures are named after. */
  name: string
  pods: number
  /** How the backend ends them: so many a second, or all at once where it is 0. */
  finishPerSecond: number
}

/** The first meets code that has never run; the last has the same number of pods and warm code. */
const runs: readonly Run[] = [
  { name: 'cold500', pods: 500, finishPerSecond: 0 },
  { name: 'pods2000', pods: 2000, finishPerSecond: 0 },
  { name: 'pods500', pods: 500, finishPerSecond: 100 }
]

interface Bench {
  kube: KubeRequests
  plugin: InstantPlugin
  node: NodeProcess
  ceiling(run: Run): Promise<Ceiling>
  say: (text: string) => void
}

/**
 * One node, pods bound to it directly, a backend that answers at once. The ceiling of each run is the mean of one
 * before it and one after it: the speed of a shared machine changes by the minute.
 */
export async function benchCore(say: (text: string) => void): Promise<Figures> {
  say('starting a control plane, an API server and a node')
  const cluster = await startControlPlane()
  const kube = new KubeRequests(cluster, sockets)
  let ceilings = 0
  const ceiling = ({ pods }: Run) => measureCeiling(cluster, pods, `ceiling-${++ceilings}`)
  try {
    const plugin = await startInstantPlugin()
    const product = await startProduct(cluster, plugin.url, [nodeName])
    const node = await product.startNode()
    try {
      const readyMs = (await nodesReady(kube, 1, 60_000)) - node.startedAt
      say(`node Ready after ${round(readyMs, 0)} ms`)
      const figures: Figures = { readyMs: round(readyMs, 0) }
      for (const run of runs) Object.assign(figures, await measure({ kube, plugin, node, ceiling, say }, run))
      return figures
    } catch (error) {
      say((await node.log()).slice(-4000))
      throw error
    } finally {
      await product.stop()
      plugin.stop()
    }
  } finally {
    kube.close()
    await cluster.stop()
  }
}

async function measure({ kube, plugin, node, ceiling, say }: Bench, run: Run): Promise<Figures> {
  const { name, pods, finishPerSecond } = run
  const before = await ceiling(run)
  await createNamespace(kube, name)
  const watch = await PodWatch.open(kube, name)
  try {
    await createPods(kube, {
      namespace: name,
      count: pods,
      nodeOf: () => nodeName,
      onSend: (pod) => watch.sent.set(pod, Date.now())
    })
    await watch.until('running', pods, 600_000)
    const idle = await measureIdle(plugin)
    const memory = await memoryOf(node.pid)
    await plugin.finish(finishPerSecond)
    await watch.until('succeeded', pods, 600_000)
    const finished = await plugin.finished()
    const lags = [...watch.succeeded].map(([uid, at]) => at - finished[uid]!)
    await eventsWritten(kube, name)
    const after = await ceiling(run)
    const podsPerSecond = (before.podsPerSecond + after.podsPerSecond) / 2
    say(`${name}: ${round(watch.rate)} pods/s, ceiling ${round(podsPerSecond)} pods/s`)
    const mean = (figure: 'p50' | 'p95') => (before[figure] + after[figure]) / 2
    const latency = (quantile: number) => percentile(watch.createToRunning, quantile)
    return {
      ...againstCeiling(`${name}PerSecond`, watch.rate, podsPerSecond),
      ...againstCeiling(`${name}CreateToRunningP50Ms`, latency(0.5), mean('p50')),
      ...againstCeiling(`${name}CreateToRunningP95Ms`, latency(0.95), mean('p95')),
      [`${name}FinishPerSecond`]: finishPerSecond || 'all at once',
      [`${name}FinishToSucceededP50Ms`]: percentile(lags, 0.5),
      [`${name}FinishToSucceededP95Ms`]: percentile(lags, 0.95),
      [`${name}IdlePodRequestsPerSecond`]: idle.pods,
      [`${name}IdlePingsPerSecond`]: idle.pings,
      [`${name}NodeRssMB`]: memory.rss,
      [`${name}NodePeakRssMB`]: memory.peak
    }
  } finally {
    watch.close()
  }
}

/** What the plugin is asked while nothing happens. */
async function measureIdle(plugin: InstantPlugin): Promise<{ pods: number; pings: number }> {
  await delay(2_000)
  await plugin.reset()
  await delay(idleSeconds * 1000)
  const { create, status, delete: deleted, logs, watch, ping } = await plugin.counts()
  return {
    pods: round((create + status + deleted + logs + watch) / idleSeconds, 2),
    pings: round(ping / idleSeconds, 2)
  }
}

/** The node's events come after all else, and would weigh on what is measured next. */
async function eventsWritten(kube: KubeRequests, namespace: string): Promise<void> {
  let before = -1
  await eventually(
    async () => {
      const { items, metadata } = await kube.get<{
        items: unknown[]
        metadata: { remainingItemCount?: number }
      }>(`/api/v1/namespaces/${namespace}/events?limit=1`)
      const count = items.length + (metadata.remainingItemCount ?? 0)
      const settled = count === before
      before = count
      return settled
    },
    { deadlineMs: 300_000, everyMs: 3_000 }
  )
}
