/**
 * The reference virtual kubelet's file and the values of its chart, translated to ours.
 * Unknown keys are ignored there, and here; numbers are taken for strings as its YAML reader does.
 */
import { Type, type Static, type TProperties } from 'typebox'
import type { Accelerator, NodeEntry, VkFile } from './schema.ts'

const object = <T extends TProperties>(properties: T) =>
  Type.Optional(Type.Object(properties, { additionalProperties: true }))
const text = () => Type.Optional(Type.Union([Type.String(), Type.Number(), Type.Null()]))
const flag = () => Type.Optional(Type.Union([Type.Boolean(), Type.Null()]))
const list = <T extends TProperties>(properties: T) =>
  Type.Optional(
    Type.Union([Type.Array(Type.Object(properties, { additionalProperties: true })), Type.Null()])
  )

export const ReferenceFile = Type.Object(
  {
    InterlinkURL: text(),
    InterlinkPort: text(),
    KubernetesApiAddr: text(),
    KubernetesApiPort: text(),
    KubernetesApiCaCrt: text(),
    DisableProjectedVolumes: flag(),
    JobScriptBuilderURL: text(),
    VKTokenFile: text(),
    PodIP: text(),
    PodCIDR: object({ Subnet: text() }),
    HTTP: object({ Insecure: flag(), CaCert: text() }),
    KubeletCertFile: text(),
    KubeletKeyFile: text(),
    KubeletCSRSignerName: text(),
    DisableCSR: flag(),
    Resources: object({
      CPU: text(),
      Memory: text(),
      Pods: text(),
      Accelerators: list({ ResourceType: Type.String(), Model: text(), Available: text() })
    }),
    NodeLabels: Type.Optional(Type.Union([Type.Array(Type.String({ pattern: '^[^=]+=' })), Type.Null()])),
    NodeTaints: list({ Key: Type.String(), Value: text(), Effect: text() }),
    TLS: object({ Enabled: flag(), CertFile: text(), KeyFile: text(), CACertFile: text() })
  },
  { additionalProperties: true }
)
export type ReferenceFile = Static<typeof ReferenceFile>

export const ChartValues = Type.Object(
  {
    nodeName: text(),
    interlink: object({
      address: text(),
      port: text(),
      socket: text(),
      disableProjectedVolumes: flag(),
      kubernetesApiAddr: text(),
      kubernetesApiPort: text(),
      kubernetesApiCaCrt: text(),
      tls: object({ enabled: flag(), certFile: text(), keyFile: text(), caCertFile: text() })
    }),
    virtualNode: Type.Object(
      {
        resources: object({
          CPUs: text(),
          memGiB: text(),
          memGib: text(),
          pods: text(),
          accelerators: list({
            resource_type: Type.Optional(Type.String()),
            resourceType: Type.Optional(Type.String()),
            model: text(),
            available: text()
          })
        }),
        HTTP: object({ insecure: flag(), Insecure: flag(), CACert: text() }),
        nodeLabels: Type.Optional(Type.Union([Type.Array(Type.String({ pattern: '^[^=]+=' })), Type.Null()])),
        nodeTaints: list({ key: Type.String(), value: text(), effect: text() }),
        JobScriptBuilderURL: text(),
        disableCSR: flag()
      },
      { additionalProperties: true }
    )
  },
  { additionalProperties: true }
)
export type ChartValues = Static<typeof ChartValues>

/** Which of the three shapes a file has, told by its top-level keys. */
export function shapeOf(keys: readonly string[]): 'own' | 'reference' | 'chart' {
  if (keys.includes('virtualNode')) return 'chart'
  const known = new Set(Object.keys(ReferenceFile.properties))
  return keys.some((key) => known.has(key) || key === 'VerboseLogging' || key === 'Network')
    ? 'reference'
    : 'own'
}

export function fromReference(file: ReferenceFile): VkFile {
  const tls = file.TLS?.Enabled ? file.TLS : undefined
  const apiHost = word(file.KubernetesApiAddr)
  const apiPort = word(file.KubernetesApiPort)
  return compact({
    interlink: compact({
      url: endpoint(word(file.InterlinkURL), word(file.InterlinkPort)),
      tokenFile: word(file.VKTokenFile),
      tls: compact({
        caFile: word(tls?.CACertFile) ?? word(file.HTTP?.CaCert),
        certFile: word(tls?.CertFile),
        keyFile: word(tls?.KeyFile),
        insecureSkipVerify: file.HTTP?.Insecure ?? undefined
      }),
      jobScriptUrl: word(file.JobScriptBuilderURL)
    }),
    defaults: compact({
      labels: labelsOf(file.NodeLabels),
      taints: taintsOf(
        file.NodeTaints?.map((taint) => ({ key: taint.Key, value: taint.Value, effect: taint.Effect }))
      ),
      resources: compact({
        cpu: word(file.Resources?.CPU),
        memory: word(file.Resources?.Memory),
        pods: word(file.Resources?.Pods),
        accelerators: acceleratorsOf(
          file.Resources?.Accelerators?.map((a) => ({
            type: a.ResourceType,
            model: a.Model,
            available: a.Available
          }))
        )
      }),
      podCIDR: word(file.PodCIDR?.Subnet)
    }),
    kubelet: compact({
      certFile: word(file.KubeletCertFile),
      keyFile: word(file.KubeletKeyFile),
      csr: file.DisableCSR ? false : undefined,
      csrSigner: word(file.KubeletCSRSignerName)
    }),
    pods: compact({
      disableProjectedVolumes: file.DisableProjectedVolumes ?? undefined,
      kubernetesApi:
        apiHost || apiPort || word(file.KubernetesApiCaCrt)
          ? compact({ host: apiHost, port: apiPort, caData: word(file.KubernetesApiCaCrt) })
          : undefined
    })
  })
}

export function fromChartValues(values: ChartValues): VkFile {
  const node = values.virtualNode
  const socket = word(values.interlink?.socket)
  const reference = fromReference({
    InterlinkURL: socket ?? values.interlink?.address,
    InterlinkPort: socket ? undefined : values.interlink?.port,
    KubernetesApiAddr: values.interlink?.kubernetesApiAddr,
    KubernetesApiPort: values.interlink?.kubernetesApiPort,
    KubernetesApiCaCrt: values.interlink?.kubernetesApiCaCrt,
    DisableProjectedVolumes: values.interlink?.disableProjectedVolumes,
    JobScriptBuilderURL: node.JobScriptBuilderURL,
    HTTP: { Insecure: node.HTTP?.insecure ?? node.HTTP?.Insecure, CaCert: node.HTTP?.CACert },
    DisableCSR: node.disableCSR,
    NodeLabels: node.nodeLabels,
    NodeTaints: node.nodeTaints?.map(({ key, value, effect }) => ({
      Key: key,
      Value: value,
      Effect: effect
    })),
    TLS: {
      Enabled: values.interlink?.tls?.enabled,
      CertFile: values.interlink?.tls?.certFile,
      KeyFile: values.interlink?.tls?.keyFile,
      CACertFile: values.interlink?.tls?.caCertFile
    }
  })
  const memory = word(node.resources?.memGiB) ?? word(node.resources?.memGib)
  const name = word(values.nodeName)
  return compact({
    ...reference,
    defaults: compact({
      ...reference.defaults,
      resources: compact({
        cpu: word(node.resources?.CPUs),
        memory: memory && `${memory}Gi`,
        pods: word(node.resources?.pods),
        accelerators: acceleratorsOf(
          node.resources?.accelerators?.map((a) => ({
            type: a.resource_type ?? a.resourceType ?? '',
            model: a.model,
            available: a.available
          }))
        )
      })
    }),
    nodes: name ? ([{ name }] satisfies NodeEntry[]) : undefined
  })
}

/** Our URL for the reference's pair; the port is ignored for a socket. */
export function endpoint(url: string | undefined, port: string | undefined): string | undefined {
  if (!url) return undefined
  return url.startsWith('unix://') || !port || port === '0' ? url : `${url.replace(/\/+$/, '')}:${port}`
}

type Word = string | number | null | undefined
const word = (value: Word): string | undefined => (value == null || value === '' ? undefined : String(value))

function labelsOf(labels: readonly string[] | null | undefined): Record<string, string> | undefined {
  if (!labels) return undefined
  return Object.fromEntries(
    labels.map((label) => [label.slice(0, label.indexOf('=')), label.slice(label.indexOf('=') + 1)])
  )
}

type TaintEffect = 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute'
const effects: readonly string[] = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] satisfies TaintEffect[]

/** An effect that is none of the three becomes NoSchedule, as in the reference. */
const taintsOf = (taints: readonly { key: string; value: Word; effect: Word }[] | undefined) =>
  taints?.map(({ key, value, effect }) =>
    compact({
      key,
      value: word(value),
      effect: (effects.includes(String(effect)) ? effect : 'NoSchedule') as TaintEffect
    })
  )

const acceleratorsOf = (
  list: readonly { type: string; model: Word; available: Word }[] | undefined
): Accelerator[] | undefined =>
  list?.map(({ type, model, available }) =>
    compact({ resourceType: type, model: word(model), available: word(available) ?? '0' })
  )

/** Without the keys whose value is undefined, so that merging never erases. */
export function compact<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as T
}
