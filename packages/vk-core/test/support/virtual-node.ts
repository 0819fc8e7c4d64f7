/** The pods of one node between a cluster and a backend, all over real sockets. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterlinkClient } from '@interlink-ts/interlink-api/client'
import type { Pod } from '@interlink-ts/interlink-api/wire'
import {
  createEventLane,
  createKubeClient,
  isNotFound,
  loadKubeConfig,
  type KubeClient
} from '@interlink-ts/vk-core/kube'
import { createPodManager } from '../../src/pods/manager.ts'
import { createPodObjects } from '../../src/pods/pod-objects.ts'
import { createPodSource } from '../../src/pods/pod-source.ts'
import type { PodManagerConfig } from '../../src/pods/context.ts'
import { startBackend, type BackendDouble, type DoubleOptions } from './backend-double.ts'

export const silent = { debug() {}, info() {}, warn() {}, error() {} }
export const node = 'edge'

export interface Cluster {
  readonly kube: KubeClient
  close(): Promise<void>
}

/** A development cluster; a real one where VK_TEST_KUBECONFIG names its kubeconfig. */
export async function startCluster(directory: string): Promise<Cluster> {
  const real = process.env.VK_TEST_KUBECONFIG
  const dev = real
    ? undefined
    : await (await import('@interlink-ts/dev-cluster')).startDevCluster({ scheduler: false })
  const path = real ?? join(directory, 'kubeconfig')
  if (dev) await writeFile(path, dev.kubeconfig, { mode: 0o600 })
  const kube = createKubeClient(await loadKubeConfig({ path }), { userAgent: 'vk-core-test' })
  return {
    kube,
    async close() {
      await kube.close()
      await dev?.close()
    }
  }
}

export interface VirtualNode {
  readonly kube: KubeClient
  readonly backend: BackendDouble
  readonly namespace: string
  readonly view: ReturnType<typeof createPodManager>['view']
  create(name: string, more?: { spec?: object; metadata?: object }): Promise<Pod>
  pod(name: string): Promise<Pod | undefined>
  /** Resolves with the pod, or its absence, once `test` holds; fails after ten seconds with what there is. */
  until<T extends Pod | undefined>(name: string, test: (pod: Pod | undefined) => boolean): Promise<T>
  events(name: string): Promise<{ reason: string; message: string; count: number; type: string }[]>
  /** As after a kill: the manager is gone, its backend and the API stay. */
  restart(): Promise<void>
  ping(): Promise<void>
  close(): Promise<void>
}

let namespaces = 0

export async function startVirtualNode(
  cluster: Cluster,
  options: DoubleOptions & { config?: PodManagerConfig } = {}
): Promise<VirtualNode> {
  const { kube } = cluster
  const namespace = `test-${process.pid}-${++namespaces}`
  const nodeName = `${node}-${namespace}`
  await kube.create('/api/v1/namespaces', { metadata: { name: namespace } })
  await eventually(() =>
    kube.get(`/api/v1/namespaces/${namespace}/serviceaccounts/default`).catch((error) => {
      if (!isNotFound(error)) throw error
    })
  )
  const backend = await startBackend(options)

  const open = () => {
    const interlink = createInterlinkClient({ url: backend.url, timeoutMs: 5000 })
    const source = createPodSource({ client: kube, nodes: [nodeName], log: silent })
    const objects = createPodObjects({ client: kube, log: silent })
    const events = createEventLane({ client: kube, log: silent })
    const manager = createPodManager({
      kube,
      interlink,
      nodeName,
      nodeIP: () => '192.0.2.7',
      allocatable: () => ({ cpu: '8', memory: '16Gi' }),
      recorder: events.recorder(nodeName),
      source,
      objects,
      config: { statusIntervalMs: 50, ...options.config },
      log: silent
    })
    const ping = async () => {
      const { capabilities: said } = await interlink.ping()
      manager.onBackendReachable({ capabilities: said })
    }
    return {
      manager,
      ping,
      async start() {
        await Promise.all([manager.start(), ping()])
      },
      async stop() {
        await source.stop()
        await manager.stop()
        await objects.stop()
        await events.stop()
        await interlink.close()
      }
    }
  }
  let running = open()
  await running.start()

  const path = `/api/v1/namespaces/${namespace}/pods`
  const pod = (name: string) =>
    kube.get<Pod>(`${path}/${name}`).catch((error) => {
      if (isNotFound(error)) return undefined
      throw error
    })

  return {
    kube,
    backend,
    namespace,
    get view() {
      return running.manager.view
    },
    create: (name, { spec, metadata } = {}) =>
      kube.create<Pod>(path, {
        metadata: { name, ...metadata },
        spec: {
          nodeName,
          restartPolicy: 'Never',
          automountServiceAccountToken: false,
          containers: [{ name: 'main', image: 'host', command: ['true'] }],
          ...spec
        }
      }),
    pod,
    async until<T>(name: string, test: (pod: Pod | undefined) => boolean) {
      let last: Pod | undefined
      await eventually(
        async () => test((last = await pod(name))),
        () => `pod ${name} is ${JSON.stringify(last?.status ?? null, null, 1)}`
      )
      return last as T
    },
    events: async (name) => {
      const query = { fieldSelector: `involvedObject.name=${name}` }
      const list = await kube.get<{
        items: { reason: string; message: string; count: number; type: string }[]
      }>(`/api/v1/namespaces/${namespace}/events`, query)
      return list.items
    },
    async restart() {
      await running.stop()
      running = open()
      await running.start()
    },
    ping: () => running.ping().catch(() => {}),
    async close() {
      await running.stop()
      await backend.close()
      const { items } = await kube.get<{ items: Pod[] }>(path)
      const now = { gracePeriodSeconds: 0 }
      await Promise.all(items.map((one) => kube.delete(`${path}/${one.metadata.name}`, now).catch(() => {})))
    }
  }
}

/** Asks again until the answer is truthy; fails after 90 seconds. */
export async function eventually<T>(
  ask: () => Promise<T> | T,
  describe: () => string = () => 'it did not happen'
): Promise<T> {
  const deadline = Date.now() + 90_000
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    if (Date.now() > deadline) throw new Error(`after 90 seconds: ${describe()}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
