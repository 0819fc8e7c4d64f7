import { mkdir, writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { startDevCluster } from '@interlink-ts/dev-cluster'
import { startSlurmLab } from '@interlink-ts/dev-cluster/slurm'
import { temporaryDirectory } from '../support/reaper.ts'
import { percentile, round, type Figures } from './figures.ts'
import { KubeRequests } from './kube-requests.ts'
import { nodesReady } from './nodes.ts'
import { createNamespace, createPods, sockets } from './pods.ts'
import { PodWatch } from './pod-watch.ts'
import { startProduct } from './product.ts'
import { startSlurmPluginProcess } from './backend-process.ts'
import { finishedAt } from './batch.ts'
import { benchQueue } from './slurm-queue.ts'

const nodeName = 'slurm'

/** A real Slurm with more CPUs than the machine has. `share` of all sizes: below 1 for a quick look. */
export async function benchSlurm(say: (text: string) => void, share: number): Promise<Figures> {
  const part = (size: number) => Math.max(10, Math.round(size * share))
  const load = round(loadavg()[0]!, 2)
  const ends = await benchEnds(part(100), say)
  const queue = await benchQueue(
    { submissions: part(500), watched: part(1000), changes: part(200), remembered: part(5000) },
    say
  )
  return { loadBefore: load, ...queue, ...ends }
}

/** Short pods through plugin, API server and node: from the end of each to Succeeded in the API. */
async function benchEnds(count: number, say: (text: string) => void): Promise<Figures> {
  const directory = temporaryDirectory('bench')
  const lab = await startSlurmLab({ nodes: 4, cpus: 64, memoryMiB: 64_000, gpus: 0 })
  const cluster = await startDevCluster()
  const kube = new KubeRequests(target(cluster), sockets)
  const kubeconfigPath = join(directory.path, 'kubeconfig')
  await writeFile(kubeconfigPath, cluster.kubeconfig, { mode: 0o600 })
  await mkdir(join(directory.path, 'log'))
  const plugin = await startSlurmPluginProcess(lab, 4)
  const product = await startProduct({ dir: directory.path, kubeconfigPath }, plugin.url, [nodeName])
  try {
    await product.startNode()
    await nodesReady(kube, 1, 60_000)
    const namespace = 'ends'
    await createNamespace(kube, namespace)
    const watch = await PodWatch.open(kube, namespace)
    await createPods(kube, {
      namespace,
      count,
      command: ['sleep', '5'],
      nodeOf: () => nodeName,
      onSend: (name) => watch.sent.set(name, Date.now())
    })
    await watch.until('succeeded', count, 300_000)
    watch.close()
    const ends = await Promise.all(
      [...watch.succeeded].map(async ([uid, at]) => ({
        at,
        finished: await finishedAt(plugin.root, `${namespace}-${uid}`)
      }))
    )
    const last = Math.max(...ends.map(({ at }) => at)) - Math.max(...ends.map(({ finished }) => finished))
    say(`${count} pods of 5 s: all Succeeded ${round(last / 1000, 2)} s after the last one ended`)
    return {
      endedPods: count,
      endToSucceededP95Ms: percentile(
        ends.map(({ at, finished }) => at - finished),
        0.95
      ),
      lastEndToAllSucceededMs: last
    }
  } finally {
    await product.stop()
    await plugin.stop()
    kube.close()
    await cluster.close()
    await lab.close()
    await directory.remove()
  }
}

/** What the kubeconfig of the embedded cluster says, for the least of a client. */
function target({ url, token, kubeconfig }: { url: string; token: string; kubeconfig: string }) {
  const { clusters } = parse(kubeconfig) as {
    clusters: readonly [{ cluster: { 'certificate-authority-data': string } }]
  }
  const ca = Buffer.from(clusters[0].cluster['certificate-authority-data'], 'base64').toString()
  return { url, admin: { ca }, token }
}
