import { setTimeout as delay } from 'node:timers/promises'
import { startControlPlane, type ControlPlane } from '../kube/control-plane.ts'
import { measureCeiling } from './ceiling.ts'
import { againstCeiling, memoryOf, percentile, round, type Figures } from './figures.ts'
import { KubeRequests } from './kube-requests.ts'
import { nodesReady } from './nodes.ts'
import { startInstantPlugin, type InstantPlugin } from './plugin-process.ts'
import { createNamespace, createPods, sockets } from './pods.ts'
import { PodWatch } from './pod-watch.ts'
import { startProduct } from './product.ts'

const idleSeconds = 20
const nodeName = 'bench'

/** How the backend ends the pods of a run: so many a second, or all at once. */
const runs = [
  { pods: 500, finishPerSecond: 100 },
  { pods: 2000, finishPerSecond: 0 }
]

/** One node, pods bound to it directly, a backend that answers at once; each figure beside the ceiling of this run. */
export async function benchCore(say: (text: string) => void): Promise<Figures> {
  const figures: Figures = {}
  for (const run of runs) {
    say(`starting a control plane for ${run.pods} pods`)
    const cluster = await startControlPlane()
    try {
      Object.assign(figures, await measure(cluster, run, say))
    } finally {
      await cluster.stop()
    }
  }
  return figures
}

async function measure(
  cluster: ControlPlane,
  { pods, finishPerSecond }: (typeof runs)[number],
  say: (text: string) => void
): Promise<Figures> {
  const prefix = `pods${pods}`
  const kube = new KubeRequests(cluster, sockets)
  say('measuring the ceiling')
  const ceiling = await measureCeiling(cluster, pods)
  say(`ceiling: ${round(ceiling.podsPerSecond)} pods/s`)

  const plugin = await startInstantPlugin()
  const product = await startProduct(cluster, plugin.url, [nodeName])
  const node = await product.startNode()
  const readyMs = (await nodesReady(kube, 1, 60_000)) - node.startedAt
  say(`node Ready after ${round(readyMs, 0)} ms`)

  const namespace = `node-${pods}`
  await createNamespace(kube, namespace)
  const watch = await PodWatch.open(kube, namespace)
  try {
    await createPods(kube, {
      namespace,
      count: pods,
      nodeOf: () => nodeName,
      onSend: (name) => watch.sent.set(name, Date.now())
    })
    await watch.until('running', pods, 600_000)
    say(`${pods} pods running: ${round(watch.rate)} pods/s`)

    const idle = await measureIdle(plugin)
    const memory = await memoryOf(node.pid)
    await plugin.finish(finishPerSecond)
    await watch.until('succeeded', pods, 600_000)
    const finished = await plugin.finished()
    const lags = [...watch.succeeded].map(([uid, at]) => at - finished[uid]!)
    return {
      [`${prefix}ReadyMs`]: round(readyMs, 0),
      ...againstCeiling(`${prefix}PerSecond`, watch.rate, ceiling.podsPerSecond),
      ...againstCeiling(`${prefix}CreateToRunningP50Ms`, percentile(watch.createToRunning, 0.5), ceiling.p50),
      ...againstCeiling(
        `${prefix}CreateToRunningP95Ms`,
        percentile(watch.createToRunning, 0.95),
        ceiling.p95
      ),
      [`${prefix}FinishPerSecond`]: finishPerSecond || 'all at once',
      [`${prefix}FinishToSucceededP50Ms`]: percentile(lags, 0.5),
      [`${prefix}FinishToSucceededP95Ms`]: percentile(lags, 0.95),
      [`${prefix}IdlePodRequestsPerSecond`]: idle.pods,
      [`${prefix}IdlePingsPerSecond`]: idle.pings,
      [`${prefix}NodeRssMB`]: memory.rss,
      [`${prefix}NodePeakRssMB`]: memory.peak
    }
  } catch (error) {
    say((await node.log()).slice(-4000))
    throw error
  } finally {
    watch.close()
    kube.close()
    await product.stop()
    plugin.stop()
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
