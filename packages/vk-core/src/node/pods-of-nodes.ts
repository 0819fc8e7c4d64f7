/** The pods of all nodes of a process: a manager for each, over one source of pods and one of what they refer to. */
import pLimit from 'p-limit'
import type { Logger } from 'pino'
import type { InterlinkClient } from '@interlink-ts/interlink-api/client'
import type { PingResponse } from '@interlink-ts/interlink-api/wire'
import type { Metrics } from '@interlink-ts/interlink-api/telemetry'
import type { NodeConfig, VkConfig } from '../config.ts'
import { createEventLane, type EventRecorder, type KubeClient } from '../kube/index.ts'
import {
  createPodManager,
  createPodObjects,
  createPodSource,
  type PodManager,
  type PodView
} from '../pods/index.ts'

/** Bounds of the whole process; each node has its own below them, so that one dead backend does not stop the others. */
const backendCallsAtOnce = 128
const statusPatchesAtOnce = 24

export interface PodsOptions {
  readonly config: VkConfig
  readonly kube: KubeClient
  readonly log: Logger
  readonly interlinkOf: (node: string) => InterlinkClient
  readonly addressOf: (node: string) => string
  /** What the node offers now, by resource name. */
  readonly resourcesOf: (node: string) => Readonly<Record<string, string>>
  readonly metrics: Metrics
}

export interface NodePods {
  readonly view: PodView
  readonly recorder: EventRecorder
  /** After every ping that succeeded. */
  onBackendReachable(ping: Pick<PingResponse, 'capabilities' | 'backend'>): void
}

export interface PodsOfNodes {
  of(node: string): NodePods
  /** Begins to follow the pods; what goes wrong is tried again by itself. */
  start(): void
  close(): Promise<void>
}

export function openPods(options: PodsOptions): PodsOfNodes {
  const { config, kube, log } = options
  const names = config.nodes.map(({ name }) => name)
  const source = createPodSource({ client: kube, nodes: names, log })
  const objects = createPodObjects({
    client: kube,
    log,
    ...(config.pods.tokenSeconds && { tokenSeconds: config.pods.tokenSeconds })
  })
  const managers = new Map<string, PodManager>()
  const nodes = new Map<string, NodePods>()
  const depth = options.metrics.observedGauge('interlink_vk_queue_depth', 'Pods that wait for a step of work')
  const unobserve: (() => void)[] = []

  const limits = { backend: pLimit(backendCallsAtOnce), status: pLimit(statusPatchesAtOnce) }
  const events = createEventLane({
    client: kube,
    log,
    busy: () => limits.backend.activeCount + limits.status.activeCount > 0
  })

  const open = ({ name, interlink }: NodeConfig) => {
    const recorder = events.recorder(name)
    const manager = createPodManager({
      kube,
      interlink: options.interlinkOf(name),
      nodeName: name,
      nodeIP: () => options.addressOf(name),
      allocatable: () => options.resourcesOf(name),
      recorder,
      limits,
      source,
      objects,
      config: { ...config.pods, ...(interlink.jobScriptUrl && { jobScriptUrl: interlink.jobScriptUrl }) },
      metrics: options.metrics,
      log: log.child({ node: name })
    })
    managers.set(name, manager)
    for (const queue of ['lifecycle', 'status'] as const)
      unobserve.push(depth.observe(() => manager.queueStats()[queue].depth, { node: name, queue }))
    nodes.set(name, {
      view: manager.view,
      recorder,
      onBackendReachable: ({ capabilities, backend }) =>
        manager.onBackendReachable({ ...(capabilities && { capabilities }), ...(backend && { backend }) })
    })
  }
  for (const node of config.nodes) open(node)

  return {
    of: (node) => nodes.get(node)!,
    start() {
      for (const manager of managers.values())
        manager.start().catch((error: unknown) => log.error({ err: error }, 'pods could not be followed'))
    },
    async close() {
      unobserve.forEach((end) => end())
      await source.stop()
      await Promise.all([...managers.values()].map((manager) => manager.stop()))
      await objects.stop()
      await events.stop()
    }
  }
}
