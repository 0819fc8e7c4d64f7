/** What a node should look like, from its configuration and the backend's newest answer. Pure. */
import { acceleratorLabel, type NodeConfig } from '../config.ts'
import { nodeConditions } from './conditions.ts'
import type { NodeCondition, NodeStatus, PingState, Taint } from './types.ts'

export interface NodeFacts {
  readonly config: NodeConfig
  readonly ping: PingState
  /** InternalIP. */
  readonly address: string
  readonly kubeletPort: number
  /** Of this project, such as `0.1.0`. */
  readonly version: string
  /** Taints of the newest ping that spoke of taints. */
  readonly pingTaints: readonly Taint[]
}

export interface NodeShape {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly taints: readonly Taint[]
  readonly spec: { readonly providerID: string; readonly podCIDR?: string }
  readonly resources: Readonly<Record<string, string>>
  readonly conditions: readonly NodeCondition[]
  readonly status: Required<Pick<NodeStatus, 'addresses' | 'daemonEndpoints' | 'nodeInfo'>>
}

export const pingAnnotation = 'interlink.virtual-kubelet.io/ping-response'
const maxPingAnnotation = 4096

/** The Kubernetes minor whose behaviour this node follows; clients compare it with the API server's. */
const kubernetesVersion = 'v1.35.0'

export function nodeShape(facts: NodeFacts): NodeShape {
  const { config, ping, address, kubeletPort, version, pingTaints } = facts
  const arch = config.labels['kubernetes.io/arch'] ?? hostArch
  return {
    labels: {
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': arch,
      'kubernetes.io/hostname': config.name,
      'kubernetes.io/role': 'agent',
      'virtual-node.interlink/type': 'virtual-kubelet',
      'node.kubernetes.io/exclude-from-external-load-balancers': 'true',
      'alpha.service-controller.kubernetes.io/exclude-balancer': 'true',
      ...modelLabels(ping),
      ...config.labels
    },
    annotations: {
      ...config.annotations,
      [pingAnnotation]: shorten(ping.healthy ? ping.text : '', maxPingAnnotation)
    },
    taints: distinctTaints([...config.taints, ...pingTaints]),
    spec: {
      providerID: config.providerID ?? `external:///${config.name}`,
      ...(config.podCIDR && { podCIDR: config.podCIDR })
    },
    resources: { ...config.resources, ...pingResources(ping) },
    conditions: nodeConditions(ping),
    status: {
      addresses: [
        { type: 'InternalIP', address },
        { type: 'Hostname', address: config.name }
      ],
      daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
      nodeInfo: {
        machineID: '',
        systemUUID: '',
        bootID: '',
        kernelVersion: '',
        osImage: 'interLink',
        containerRuntimeVersion: `interlink://${version}`,
        kubeletVersion: `${kubernetesVersion}+interlink.${version}`,
        kubeProxyVersion: '',
        operatingSystem: 'linux',
        architecture: arch
      }
    }
  }
}

const archNames: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }
const hostArch = archNames[process.arch] ?? process.arch

const quantity = /^\d+(\.\d*)?([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?$/
const count = /^\d+$/

/** Resource names of every kind; a value that is no quantity, or no count where one is needed, is left out. */
export function pingResources(ping: PingState): Record<string, string> {
  const { cpu, memory, pods, ephemeralStorage, accelerators = [] } = ping.response?.resources ?? {}
  const resources: Record<string, string> = {}
  if (cpu && quantity.test(cpu)) resources.cpu = cpu
  if (memory && quantity.test(memory)) resources.memory = memory
  if (pods && count.test(pods)) resources.pods = pods
  if (ephemeralStorage && quantity.test(ephemeralStorage)) resources['ephemeral-storage'] = ephemeralStorage
  for (const { resourceType, available } of accelerators)
    if (resourceType && count.test(available)) resources[resourceType] = available
  return resources
}

const labelValue = /^[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/

/** Where there are several models of one kind, no label can say which a pod would get. */
function modelLabels(ping: PingState): Record<string, string> {
  const found = new Map<string, Set<string>>()
  for (const { resourceType, models = [] } of ping.response?.resources?.accelerators ?? []) {
    const label = acceleratorLabel(resourceType)
    if (label) found.set(label, new Set([...(found.get(label) ?? []), ...models]))
  }
  return Object.fromEntries(
    [...found].flatMap(([label, models]) => {
      const [model = ''] = models
      return models.size === 1 && labelValue.test(model) ? [[label, model]] : []
    })
  )
}

/** One taint for a key and effect, as the API demands; the later one wins. */
const distinctTaints = (taints: readonly Taint[]): readonly Taint[] => [
  ...new Map(taints.map((taint) => [taintId(taint), taint])).values()
]

export const taintId = ({ key, effect }: Taint): string => `${key}:${effect}`

function shorten(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}… (${text.length} characters)`
}
