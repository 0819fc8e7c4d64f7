import { setTimeout as delay } from 'node:timers/promises'
import { startControlPlane, type ControlPlane } from '../kube/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { memoryOf, percentile, round, type Figures } from './figures.ts'
import { KubeRequests } from './kube-requests.ts'
import { nodesReady, oldestLease, readyNodes } from './nodes.ts'
import { startInstantPlugin, type InstantPlugin } from './plugin-process.ts'
import { createNamespace, createPods, sockets } from './pods.ts'
import { PodWatch } from './pod-watch.ts'
import { startProduct, type NodeProcess, type Product } from './product.ts'

const podCount = 10_000
const manyNodes = Array.from({ length: 1_000 }, (_, index) => `bench-${String(index).padStart(4, '0')}`)
const leaseMinutes = 5

interface Bench {
  cluster: ControlPlane
  kube: KubeRequests
  plugin: InstantPlugin
  product: Product
  node: NodeProcess
  say: (text: string) => void
}

/** One node with 10 000 pods, its restart, and 1 000 nodes in one process. */
export async function benchScale(say: (text: string) => void): Promise<Figures> {
  const one = await withNodes(['bench'], say, async (bench) => {
    const filled = await fill(bench, ['bench'])
    return { ...filled, ...(await restart(bench)) }
  })
  const many = await withNodes(manyNodes, say, manyNodesInOne)
  return { ...one, ...many }
}

async function withNodes(
  nodes: readonly string[],
  say: (text: string) => void,
  body: (bench: Bench) => Promise<Figures>
): Promise<Figures> {
  say(`starting a control plane, an API server and ${nodes.length} nodes`)
  // The controllers' own limits would lay a bound on how many nodes and pods they keep up with.
  const cluster = await startControlPlane({
    flags: { 'kube-controller-manager': ['--kube-api-qps=2000', '--kube-api-burst=4000'] }
  })
  const kube = new KubeRequests(cluster, sockets)
  const plugin = await startInstantPlugin()
  try {
    const product = await startProduct(cluster, plugin.url, nodes)
    const node = await product.startNode()
    try {
      const ready = await nodesReady(kube, nodes.length, 300_000)
      say(`Ready after ${round((ready - node.startedAt) / 1000)} s`)
      const figures = await body({ cluster, kube, plugin, product, node, say })
      return { [`nodes${nodes.length}ReadyMs`]: round(ready - node.startedAt, 0), ...figures }
    } catch (error) {
      say((await node.log()).slice(-4000))
      throw error
    } finally {
      await product.stop()
    }
  } finally {
    kube.close()
    plugin.stop()
    await cluster.stop()
  }
}

/** Creates all pods, spread over the nodes, and waits until they run. */
async function fill({ kube, node, say }: Bench, nodes: readonly string[]): Promise<Figures> {
  const namespace = 'scale'
  await createNamespace(kube, namespace)
  const watch = await PodWatch.open(kube, namespace)
  try {
    await createPods(kube, {
      namespace,
      count: podCount,
      nodeOf: (index) => nodes[index % nodes.length]!,
      onSend: (name) => watch.sent.set(name, Date.now())
    })
    await watch.until('running', podCount, 900_000)
    const seconds = podCount / watch.rate
    say(`${podCount} pods running on ${nodes.length} nodes after ${round(seconds)} s`)
    const { rss, peak } = await memoryOf(node.pid)
    const prefix = `nodes${nodes.length}Pods${podCount}`
    return {
      [`${prefix}Seconds`]: round(seconds),
      [`${prefix}PerSecond`]: round(watch.rate),
      [`${prefix}CreateToRunningP95Ms`]: percentile(watch.createToRunning, 0.95),
      [`${prefix}NodeRssMB`]: rss,
      [`${prefix}NodePeakRssMB`]: peak
    }
  } finally {
    watch.close()
  }
}

/** Kills the node's process and starts it again: the backend must tell it of every pod, and be sent none. */
async function restart({ kube, plugin, product, node, say }: Bench): Promise<Figures> {
  await node.kill()
  await plugin.reset()
  const again = await product.startNode()
  await eventually(async () => (await plugin.counts()).reported === podCount, {
    deadlineMs: 300_000,
    everyMs: 50
  })
  const reportedMs = performance.now() - again.startedAt
  // It has them all only where it can act on any of them: each one's end must reach the API.
  const watch = await PodWatch.open(kube, 'scale')
  try {
    await delay(5_000)
    const { create, delete: deleted } = await plugin.counts()
    await plugin.finish(200)
    await watch.until('succeeded', podCount, 300_000)
    const finished = await plugin.finished()
    const lags = [...watch.succeeded].map(([uid, at]) => at - finished[uid]!)
    say(`restarted: all pods reported after ${round(reportedMs / 1000)} s, ${create} created again`)
    const prefix = `restart${podCount}`
    return {
      [`${prefix}ReportedMs`]: round(reportedMs, 0),
      [`${prefix}CreatesSent`]: create,
      [`${prefix}DeletesSent`]: deleted,
      [`${prefix}PodsFailed`]: watch.failed.size,
      [`${prefix}FinishToSucceededP95Ms`]: percentile(lags, 0.95)
    }
  } finally {
    watch.close()
  }
}

async function manyNodesInOne(bench: Bench): Promise<Figures> {
  const { kube, node, say } = bench
  const filled = await fill(bench, manyNodes)
  const end = performance.now() + leaseMinutes * 60_000
  let oldest = 0
  let fewestReady = manyNodes.length
  while (performance.now() < end) {
    oldest = Math.max(oldest, await oldestLease(kube, manyNodes))
    fewestReady = Math.min(fewestReady, await readyNodes(kube))
    await delay(5_000)
  }
  say(`oldest lease in ${leaseMinutes} minutes: ${round(oldest)} s`)
  const { rss, peak } = await memoryOf(node.pid)
  return {
    ...filled,
    nodes1000OldestLeaseSeconds: round(oldest),
    nodes1000FewestReady: fewestReady,
    nodes1000NodeRssMB: rss,
    nodes1000NodePeakRssMB: peak
  }
}
