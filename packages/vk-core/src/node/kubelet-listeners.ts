/** The kubelet ports of a process: one for all its nodes, and one more for each node that asks for its own. */
import { join } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import type { Logger } from 'pino'
import type { Metrics } from '@interlink-ts/interlink-api/telemetry'
import { isLoopback, type NodeConfig, type VkConfig } from '../config.ts'
import type { KubeClient } from '../kube/index.ts'
import { createKubeletServer, followClientCa, openServingCertificate, podsOf } from '../kubelet/index.ts'
import type { PodView } from '../pods/types.ts'

export interface ListenersOptions {
  readonly config: VkConfig
  readonly kube: KubeClient
  readonly log: Logger
  /** InternalIP of each node. */
  readonly addresses: ReadonlyMap<string, string>
  readonly views: ReadonlyMap<string, PodView>
  readonly metrics: Metrics
}

export interface Listeners {
  portOf(node: string): number
  urlOf(node: string): string
  close(): Promise<void>
}

/** A certificate of more names than this is refused by some clients; the address is what matters. */
const maxNames = 50
/** The port serves without client certificates until the cluster has told of its CA, or this long at most. */
const trustWaitMs = 2_000

export async function openListeners(options: ListenersOptions): Promise<Listeners> {
  const { config, kube, log, addresses } = options
  const ports = new Map<string, number>()
  const closing: (() => Promise<void> | void)[] = []
  const servers: { refreshTrust(): void }[] = []
  const clientCa = followClientCa(kube, log, () => servers.forEach((server) => server.refreshTrust()))
  closing.push(() => clientCa.stop())

  const open = async (nodes: readonly NodeConfig[], port: number): Promise<void> => {
    const first = nodes[0]!
    const address = addresses.get(first.name)!
    const names = nodes.map(({ name }) => name)
    const certificate = await openServingCertificate({
      identity: {
        nodeName: first.name,
        hosts: [...new Set([...nodes.map(({ name }) => addresses.get(name)!), ...names])].slice(0, maxNames)
      },
      kube,
      log: log as Logger,
      csr: config.kubelet.csr,
      signer: config.kubelet.csrSigner,
      ...(config.kubelet.certFile &&
        config.kubelet.keyFile && {
          files: { certFile: config.kubelet.certFile, keyFile: config.kubelet.keyFile }
        }),
      ...(config.stateDirectory && { stateDirectory: join(config.stateDirectory, 'pki') })
    })
    closing.push(() => certificate.close())
    const server = createKubeletServer({
      pods: podsOf(names.map((name) => options.views.get(name)!)),
      nodeNames: names,
      kube,
      clientCa,
      certificate,
      metrics: options.metrics,
      log: log as unknown as FastifyBaseLogger
    })
    servers.push(server)
    closing.push(() => server.close())
    const host = config.kubelet.address ?? (isLoopback(address) ? '127.0.0.1' : '::')
    const bound = await server.listen(host, port)
    for (const name of names) ports.set(name, bound)
  }

  try {
    await Promise.race([clientCa.ready, new Promise((resolve) => setTimeout(resolve, trustWaitMs).unref())])
    const shared = config.nodes.filter(({ kubeletPort }) => kubeletPort === undefined)
    if (shared.length > 0) await open(shared, config.kubelet.port)
    for (const node of config.nodes) if (node.kubeletPort !== undefined) await open([node], node.kubeletPort)
  } catch (error) {
    await close()
    throw error
  }

  async function close(): Promise<void> {
    await Promise.allSettled(closing.map((step) => step()))
  }
  return {
    portOf: (node) => ports.get(node) ?? 0,
    urlOf: (node) => {
      const address = addresses.get(node) ?? ''
      return `https://${address.includes(':') ? `[${address}]` : address}:${ports.get(node)}/`
    },
    close
  }
}
