/** Puts the virtual nodes of one process together: Kubernetes client, pods, kubelet ports, page, and the nodes themselves. */
import type { FastifyBaseLogger } from 'fastify'
import pLimit from 'p-limit'
import type { Logger } from 'pino'
import type { InterlinkClient } from '@interlink-ts/interlink-api/client'
import { createMetrics } from '@interlink-ts/interlink-api/telemetry'
import type { InterlinkEndpoint, NodeConfig, VkConfig } from '../config.ts'
import { createKubeClient, loadKubeConfig, type EventRecorder, type KubeClient } from '../kube/index.ts'
import { startPage } from '../page/server.ts'
import { addressTowards } from './addresses.ts'
import { askPing, openInterlink } from './interlink.ts'
import { openListeners } from './kubelet-listeners.ts'
import { createNodeKeeper, type NodeKeeper } from './node-keeper.ts'
import { watchNodes } from './node-watch.ts'
import { createPinger } from './pinger.ts'
import { openPods } from './pods-of-nodes.ts'
import { createSliceKeeper, findLeftOver } from './slice-keeper.ts'
import { version } from './version.ts'
import { createWheel } from './wheel.ts'

export interface VirtualNodes {
  readonly nodes: readonly {
    readonly name: string
    readonly kubeletUrl: string
    /** Absent where the page is off. */
    readonly pageUrl?: string
  }[]
  /** Stops serving; pods, jobs and node objects stay as they are. */
  close(): Promise<void>
}

export interface StartOptions {
  readonly log: Logger
  /** Used instead of the configuration's cluster, and left open at the end. */
  readonly kube?: KubeClient
}

/** Connections to the Kubernetes API for all that is about pods, and for nodes and their leases. */
const podConnections = 32
const nodeConnections = 64

/** Resolves once everything is served and each node's registration is under way. */
export async function startVirtualNodes(config: VkConfig, options: StartOptions): Promise<VirtualNodes> {
  const { log } = options
  const closing: (() => Promise<unknown> | void)[] = []
  const close = async () => {
    for (const step of closing.splice(0).reverse())
      await Promise.resolve(step()).catch((error) => log.warn({ err: error }, 'closing failed'))
  }
  try {
    const open = async (connections: number) => {
      const client = await openKube(config, connections)
      closing.push(() => client.close())
      return client
    }
    const kube = options.kube ?? (await open(podConnections))
    // A node is lost with its lease: however many pods and events wait for a connection, leases do not wait with them.
    const nodeKube = options.kube ?? (await open(nodeConnections))
    const towards = addressTowards(kube.server)
    const addresses = new Map<string, string>()
    for (const { name, address } of config.nodes) addresses.set(name, address ?? (await towards))
    const interlinks = await openInterlinks(config.nodes, log)
    closing.push(() => Promise.all([...new Set(interlinks.values())].map((client) => client.close())))

    const metrics = createMetrics('interlink-vk')
    const keepers = new Map<string, NodeKeeper>()
    const pods = openPods({
      config,
      kube,
      log,
      metrics,
      interlinkOf: (node) => interlinks.get(node)!,
      addressOf: (node) => addresses.get(node)!,
      resourcesOf: (node) => keepers.get(node)?.shape.resources ?? {}
    })
    closing.push(() => pods.close())
    const views = new Map(config.nodes.map(({ name }) => [name, pods.of(name).view]))
    const listeners = await openListeners({ config, kube, log, addresses, views, metrics })
    closing.push(() => listeners.close())

    const wheel = createWheel()
    const leftOver = findLeftOver(nodeKube)
    // A thousand registrations must not bar one lease.
    const gate = pLimit(nodeConnections / 2)
    closing.push(() => wheel.close())
    for (const node of config.nodes) {
      const { recorder, onBackendReachable } = pods.of(node.name)
      const interlink = interlinks.get(node.name)!
      const slices = createSliceKeeper({
        kube: nodeKube,
        node: node.name,
        nodeUid: async () => {
          const keeper = keepers.get(node.name)!
          await keeper.registered
          return keeper.object?.metadata.uid
        },
        offer: () => interlink.devices({ node: node.name }),
        leftOver,
        log: log.child({ node: node.name })
      })
      const pinger = createPinger(async () => {
        const answer = await askPing(interlink, node.name)
        onBackendReachable(answer.response ?? {})
        void slices.onPing(answer.response?.capabilities ?? [])
        return answer
      })
      keepers.set(
        node.name,
        createNodeKeeper({
          config: node,
          kube: nodeKube,
          pinger,
          wheel,
          gate,
          version,
          address: addresses.get(node.name)!,
          kubeletPort: () => listeners.portOf(node.name),
          log: log.child({ node: node.name }),
          onReadiness: (ready, uid, message) => tellReadiness(recorder, node.name, uid, ready, message)
        })
      )
    }
    closing.push(() => keepers.forEach((keeper) => keeper.close()))
    const watch = watchNodes(kube, keepers, log)
    closing.push(() => watch.stop())

    const sources = [...keepers.values()].map((keeper) => ({
      name: keeper.name,
      view: views.get(keeper.name)!,
      get shape() {
        return keeper.shape
      }
    }))
    const page = config.page && (await startPage(config.page, sources, log as unknown as FastifyBaseLogger))
    if (page) closing.push(() => page.close())

    for (const keeper of keepers.values()) keeper.start()
    pods.start()
    return {
      nodes: config.nodes.map(({ name }) => ({
        name,
        kubeletUrl: listeners.urlOf(name),
        ...(page && { pageUrl: config.nodes.length === 1 ? page.url : `${page.url}?node=${name}` })
      })),
      close
    }
  } catch (error) {
    await close()
    throw error
  }
}

function tellReadiness(
  recorder: EventRecorder,
  name: string,
  uid: string,
  ready: boolean,
  message: string
): void {
  const about = { apiVersion: 'v1', kind: 'Node', name, uid }
  if (ready) recorder.record(about, 'Normal', 'NodeReady', `Node ${name} status is now: NodeReady`)
  else recorder.record(about, 'Warning', 'NodeNotReady', `The backend does not answer: ${message}`)
}

const openKube = async ({ kubeconfig, context }: VkConfig, connections: number): Promise<KubeClient> =>
  createKubeClient(
    await loadKubeConfig({ ...(kubeconfig && { path: kubeconfig }), ...(context && { context }) }),
    { userAgent: `interlink-vk/${version}`, connections }
  )

/** Nodes of one endpoint share its client, and so its connections. */
async function openInterlinks(
  nodes: readonly NodeConfig[],
  log: Logger
): Promise<Map<string, InterlinkClient>> {
  const clients = new Map<string, InterlinkClient>()
  const byNode = new Map<string, InterlinkClient>()
  const key = ({ url, tokenFile, tls }: InterlinkEndpoint) => JSON.stringify([url, tokenFile, tls])
  for (const { name, interlink } of nodes) {
    const client = clients.get(key(interlink)) ?? (await openInterlink(interlink, log))
    clients.set(key(interlink), client)
    byNode.set(name, client)
  }
  return byNode
}
