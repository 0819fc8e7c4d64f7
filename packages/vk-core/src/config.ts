/** The configuration of the virtual node: our file, the reference's file, its environment, and the command line. */
import { readFile } from 'node:fs/promises'
import { isIPv4 } from 'node:net'
import {
  ConfigError,
  parseYamlConfig,
  yamlKeys,
  yamlPlaces,
  type YamlPlace,
  whyUnreadable
} from '@interlink-ts/interlink-api/config'
import { checkNode } from './config/check-node.ts'
import {
  ChartValues,
  compact,
  fromChartValues,
  fromReference,
  ReferenceFile,
  shapeOf
} from './config/reference.ts'
import { VkFile, type Interlink, type NodeEntry, type Resources } from './config/schema.ts'

/** Where a node's API server is, and how it is asked. */
export interface InterlinkEndpoint {
  readonly url: string
  readonly tokenFile?: string
  readonly tls?: {
    readonly caFile?: string
    readonly certFile?: string
    readonly keyFile?: string
    readonly insecureSkipVerify?: boolean
  }
  readonly pingSeconds: number
  readonly jobScriptUrl?: string
}

export interface NodeTaint {
  readonly key: string
  readonly value?: string
  readonly effect: string
}

export interface NodeConfig {
  readonly name: string
  readonly interlink: InterlinkEndpoint
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly taints: readonly NodeTaint[]
  /** Capacity by resource name, as quantities; what a ping says comes before it. */
  readonly resources: Readonly<Record<string, string>>
  readonly address?: string
  readonly podCIDR?: string
  readonly providerID?: string
  /** Present where the node wants a kubelet port of its own. */
  readonly kubeletPort?: number
}

export interface KubeletConfig {
  readonly address?: string
  readonly port: number
  readonly certFile?: string
  readonly keyFile?: string
  readonly csr: boolean
  readonly csrSigner: string
}

export interface PageConfig {
  readonly address: string
  readonly port: number
  readonly hosts: readonly string[]
  readonly insecure: boolean
}

export interface VkConfig {
  /** Absent: in-cluster. */
  readonly kubeconfig?: string
  readonly context?: string
  readonly stateDirectory?: string
  readonly nodes: readonly NodeConfig[]
  readonly kubelet: KubeletConfig
  readonly page?: PageConfig
  readonly pods: {
    readonly disableProjectedVolumes: boolean
    readonly daemonSets: 'refuse' | 'run'
    readonly statusIntervalMs: number
    /** Least lifetime of service account tokens. */
    readonly tokenSeconds?: number
    readonly kubernetesApi?: { readonly host?: string; readonly port?: string; readonly caData?: string }
  }
}

export interface LoadVkConfigOptions {
  /** A file that must exist. Otherwise `CONFIGPATH`, otherwise the reference's default path if there is a file. */
  readonly path?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Comes before the file and the environment. One node here renames the file's only node, or picks one of several. */
  readonly overrides?: VkFile
}

const referenceDefaultPath = '/etc/interlink/InterLinkConfig.yaml'
const referenceKubeletPort = 5820
const defaultTaint: NodeTaint = {
  key: 'virtual-node.interlink/no-schedule',
  value: 'true',
  effect: 'NoSchedule'
}
const defaultResources = { cpu: '100', memory: '3000G', pods: '10000' }

/**
 * Reads and checks the node's configuration.
 * @throws ConfigError naming file, line, key and what was expected.
 */
export async function loadVkConfig(options: LoadVkConfigOptions = {}): Promise<VkConfig> {
  const { env = {}, overrides = {} } = options
  const { file, shape, place } = await readConfigFile(options.path ?? env.CONFIGPATH)
  return resolveVkConfig(merge(file, overrides), {
    env,
    place,
    nodes: nodeEntries(file.nodes, overrides.nodes ?? fromName(env.NODENAME), place),
    defaultKubeletPort: shape === 'own' ? 0 : referenceKubeletPort
  })
}

async function readConfigFile(
  path: string | undefined
): Promise<{ file: VkFile; shape: 'own' | 'reference' | 'chart'; place: YamlPlace }> {
  const source = path ?? referenceDefaultPath
  let text: string
  try {
    text = await readFile(source, 'utf8')
  } catch (error) {
    if (path === undefined) return { file: {}, shape: 'own', place: () => 'the configuration' }
    throw new ConfigError(`${source} cannot be read: ${whyUnreadable(error)}`)
  }
  const shape = shapeOf(yamlKeys(text, source))
  const place = yamlPlaces(text, source)
  if (shape === 'reference')
    return { file: fromReference(parseYamlConfig(text, ReferenceFile, source)), shape, place }
  if (shape === 'chart')
    return { file: fromChartValues(parseYamlConfig(text, ChartValues, source)), shape, place }
  return { file: parseYamlConfig(text, VkFile, source), shape, place }
}

const fromName = (name: string | undefined): NodeEntry[] | undefined => (name ? [{ name }] : undefined)

function nodeEntries(
  file: readonly NodeEntry[] | undefined,
  asked: readonly NodeEntry[] | undefined,
  place: YamlPlace
): readonly NodeEntry[] {
  if (!asked?.length) return file ?? []
  if (!file?.length || asked.length > 1) return asked
  const only = asked[0]!
  if (file.length === 1) return [{ ...file[0]!, ...only }]
  const picked = file.find((node) => node.name === only.name)
  if (!picked)
    throw new ConfigError(
      `${place('nodes')}: nodes: no node is named "${only.name}"; there are ${file.map((n) => n.name).join(', ')}`
    )
  return [{ ...picked, ...only }]
}

function merge(file: VkFile, overrides: VkFile): VkFile {
  return {
    ...file,
    ...compact(overrides),
    interlink: { ...file.interlink, ...overrides.interlink },
    kubelet: { ...file.kubelet, ...overrides.kubelet },
    page:
      overrides.page === undefined
        ? file.page
        : overrides.page && file.page
          ? { ...file.page, ...overrides.page }
          : overrides.page,
    pods: { ...file.pods, ...overrides.pods }
  }
}

interface ResolveContext {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly place: YamlPlace
  readonly nodes: readonly NodeEntry[]
  readonly defaultKubeletPort: number
}

function resolveVkConfig(file: VkFile, context: ResolveContext): VkConfig {
  const { env, place } = context
  if (context.nodes.length === 0)
    throw new ConfigError(
      `${place('nodes')}: nodes: no node is named; give "nodes: [{name: …}]", --node or NODENAME`
    )
  const names = new Set<string>()
  for (const [index, { name }] of context.nodes.entries()) {
    if (names.has(name))
      throw new ConfigError(
        `${place('nodes', String(index))}: nodes[${index}].name: "${name}" is there twice; expected another`
      )
    names.add(name)
  }
  if (!file.kubelet?.certFile !== !file.kubelet?.keyFile)
    throw new ConfigError(`${place('kubelet')}: kubelet: expected both certFile and keyFile, or neither`)
  const port = env.KUBELET_PORT ? portOf(env.KUBELET_PORT, 'KUBELET_PORT') : context.defaultKubeletPort
  return compact({
    kubeconfig: file.kubeconfig ?? (env.KUBECONFIG || undefined),
    context: file.context,
    stateDirectory: file.stateDirectory,
    nodes: context.nodes.map((entry, index) => {
      const node = resolveNode(entry, file, context)
      checkNode(node, index, place)
      return node
    }),
    kubelet: compact({
      address: file.kubelet?.address ?? (env.KUBELET_URL || undefined),
      port: file.kubelet?.port ?? port,
      certFile: file.kubelet?.certFile,
      keyFile: file.kubelet?.keyFile,
      csr: file.kubelet?.csr ?? true,
      csrSigner: file.kubelet?.csrSigner ?? 'kubernetes.io/kubelet-serving'
    }),
    page: pageOf(file.page, place),
    pods: compact({
      disableProjectedVolumes: file.pods?.disableProjectedVolumes ?? false,
      daemonSets: file.pods?.daemonSets ?? 'refuse',
      statusIntervalMs: (file.pods?.statusIntervalSeconds ?? 5) * 1000,
      tokenSeconds: file.pods?.tokenSeconds,
      kubernetesApi: file.pods?.kubernetesApi
    })
  })
}

function resolveNode(node: NodeEntry, file: VkFile, { env, place }: ResolveContext): NodeConfig {
  const defaults = file.defaults ?? {}
  const interlink: Interlink = { ...file.interlink, ...defaults.interlink, ...node.interlink }
  if (!interlink.url)
    throw new ConfigError(
      `${place('nodes')}: nodes: "${node.name}" has no interlink.url; expected http://, https:// or unix:///path of the API server`
    )
  const resources: Resources = { ...defaultResources, ...defaults.resources, ...node.resources }
  return compact({
    name: node.name,
    interlink: { ...interlink, url: interlink.url, pingSeconds: interlink.pingSeconds ?? 10 },
    labels: { ...acceleratorLabels(resources), ...defaults.labels, ...node.labels },
    annotations: { ...defaults.annotations, ...node.annotations },
    taints: distinct([defaultTaint, ...(node.taints ?? defaults.taints ?? []).map(withEffect)]),
    resources: capacityOf(resources),
    address: node.address ?? defaults.address ?? (env.POD_IP || undefined),
    podCIDR: node.podCIDR ?? defaults.podCIDR,
    providerID: node.providerID ?? defaults.providerID,
    kubeletPort: node.kubelet?.port
  })
}

function pageOf(page: VkFile['page'], place: YamlPlace): PageConfig | undefined {
  if (page === false) return undefined
  const address = page?.address ?? '127.0.0.1'
  if (!isLoopback(address) && !page?.insecure)
    throw new ConfigError(
      `${place('page', 'address')}: page.address: ${address} is reachable from outside and the page asks nobody who they are; ` +
        'keep it on 127.0.0.1 or say page.insecure: true'
    )
  return { address, port: page?.port ?? 0, hosts: page?.hosts ?? [], insecure: page?.insecure ?? false }
}

export const isLoopback = (address: string): boolean =>
  address === 'localhost' || address === '::1' || (isIPv4(address) && address.startsWith('127.'))

function portOf(value: string, name: string): number {
  const port = Number(value)
  if (!/^\d+$/.test(value) || port > 65535)
    throw new ConfigError(`${name}: expected a port, found "${value}"`)
  return port
}

/** Accelerators of one type are summed; those of which none is available are left out. */
function capacityOf({ accelerators = [], ...plain }: Resources): Record<string, string> {
  const capacity: Record<string, string> = {}
  for (const [name, quantity] of Object.entries(plain)) capacity[name] = String(quantity)
  const sums = new Map<string, number>()
  for (const { resourceType, available } of accelerators)
    sums.set(resourceType, (sums.get(resourceType) ?? 0) + Number(available))
  for (const [name, sum] of sums) if (sum > 0) capacity[name] = String(sum)
  return capacity
}

/** `nvidia-gpu-type=t4` and the like, as the reference labels its nodes. */
function acceleratorLabels({ accelerators = [] }: Resources): Record<string, string> {
  const labels: Record<string, string> = {}
  for (const { resourceType, model } of accelerators) {
    const label = acceleratorLabel(resourceType)
    if (label && model) labels[label] = model
  }
  return labels
}

/** The label of the reference for the model of an accelerator. */
export function acceleratorLabel(resourceType: string): string | undefined {
  const [, vendor, kind] = /^(nvidia|amd|intel|xilinx)\.com\/(gpu|fpga|mig-.+)$/.exec(resourceType) ?? []
  return vendor && `${vendor}-${kind === 'fpga' ? 'fpga' : 'gpu'}-type`
}

const withEffect = (taint: { key: string; value?: string; effect?: string }): NodeTaint => ({
  ...taint,
  effect: taint.effect ?? 'NoSchedule'
})

/** A later taint of the same key and effect replaces an earlier one, as in the API. */
function distinct(taints: readonly NodeTaint[]): readonly NodeTaint[] {
  return [...new Map(taints.map((taint) => [`${taint.key}:${taint.effect}`, taint])).values()]
}
