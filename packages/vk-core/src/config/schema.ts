/** The node's own configuration file, as it is written: camelCase YAML, unknown keys are errors. */
import { Type, type Static, type TProperties } from 'typebox'

const object = <T extends TProperties>(properties: T) =>
  Type.Object(properties, { additionalProperties: false })
const optional = Type.Optional
const text = () => optional(Type.String({ minLength: 1 }))
const flag = () => optional(Type.Boolean())
const port = () => optional(Type.Integer({ minimum: 0, maximum: 65535 }))

export const quantityPattern = String.raw`^\+?(\d+(\.\d*)?|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?$`

/** A Kubernetes quantity, such as `500m`, `64`, `256Gi`. YAML numbers are quantities too. */
export const QuantityText = Type.Union([
  Type.String({ pattern: quantityPattern, 'x-expected': 'a quantity such as 8, 500m or 64Gi' }),
  Type.Number({ minimum: 0 })
])

export const Accelerator = object({
  /** Name of the extended resource: `nvidia.com/gpu`, `nvidia.com/mig-1g.5gb`, `xilinx.com/fpga`, … */
  resourceType: Type.String({ minLength: 1 }),
  model: text(),
  /** A count; entries of one type are summed. */
  available: Type.Union([Type.String({ pattern: String.raw`^\d+$` }), Type.Integer({ minimum: 0 })])
})
export type Accelerator = Static<typeof Accelerator>

export const Resources = Type.Object(
  {
    cpu: optional(QuantityText),
    memory: optional(QuantityText),
    pods: optional(QuantityText),
    accelerators: optional(Type.Array(Accelerator))
  },
  { additionalProperties: QuantityText }
)
export type Resources = Static<typeof Resources>

export const Taint = object({
  key: Type.String({ minLength: 1 }),
  value: optional(Type.String()),
  effect: optional(
    Type.Union([Type.Literal('NoSchedule'), Type.Literal('PreferNoSchedule'), Type.Literal('NoExecute')])
  )
})

export const Interlink = object({
  /** `http://`, `https://` or `unix:///path` of the API server. */
  url: optional(
    Type.String({
      pattern: '^(https?://.+|unix:///.+)$',
      'x-expected': 'http://host:port, https://host:port or unix:///path'
    })
  ),
  tokenFile: text(),
  tls: optional(object({ caFile: text(), certFile: text(), keyFile: text(), insecureSkipVerify: flag() })),
  /** Seconds between two pings. @default 10 */
  pingSeconds: optional(Type.Number({ minimum: 1, maximum: 3600 })),
  jobScriptUrl: text()
})
export type Interlink = Static<typeof Interlink>

const nodeProperties = {
  interlink: optional(Interlink),
  labels: optional(Type.Record(Type.String(), Type.String())),
  annotations: optional(Type.Record(Type.String(), Type.String())),
  taints: optional(Type.Array(Taint)),
  resources: optional(Resources),
  /** The node's InternalIP, at which the API server reaches the kubelet port. */
  address: text(),
  podCIDR: text(),
  providerID: text()
}

export const NodeEntry = object({
  name: Type.String({
    maxLength: 253,
    pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$',
    'x-expected': 'a DNS name in lower case'
  }),
  ...nodeProperties,
  /** A kubelet port of its own instead of the shared one. */
  kubelet: optional(object({ port: port() }))
})
export type NodeEntry = Static<typeof NodeEntry>

export const VkFile = object({
  kubeconfig: text(),
  context: text(),
  /** Where serving keys are kept (0600). Without it they last as long as the process. */
  stateDirectory: text(),
  interlink: optional(Interlink),
  /** What every node has unless its entry says otherwise; labels, annotations and resources are merged. */
  defaults: optional(object(nodeProperties)),
  nodes: optional(Type.Array(NodeEntry)),
  kubelet: optional(
    object({
      /** Address to listen on. @default every address, or loopback where the node's address is loopback */
      address: text(),
      /** 0 takes a free one; the node object names the port that is served. @default 0 */
      port: port(),
      certFile: text(),
      keyFile: text(),
      /** Ask the cluster for a serving certificate. @default true */
      csr: flag(),
      /** @default 'kubernetes.io/kubelet-serving' */
      csrSigner: text()
    })
  ),
  page: optional(
    Type.Union([
      Type.Literal(false),
      object({
        /** @default '127.0.0.1' */
        address: text(),
        /** 0 takes a free one. @default 0 */
        port: port(),
        /** Host names by which browsers may ask, besides loopback ones. */
        hosts: optional(Type.Array(Type.String())),
        /** Serve on a public address, where everybody who reaches it reads the pods' logs. @default false */
        insecure: flag()
      })
    ])
  ),
  pods: optional(
    object({
      disableProjectedVolumes: flag(),
      /** Pods of DaemonSets that tolerate everything are left alone, or run. @default 'refuse' */
      daemonSets: optional(Type.Union([Type.Literal('refuse'), Type.Literal('run')])),
      /** Seconds between two rounds of asking a backend that offers no watch. @default 5 */
      statusIntervalSeconds: optional(Type.Number({ minimum: 0.2, maximum: 3600 })),
      /** Least lifetime of service account tokens: they are not renewed in a job. @default 31536000 */
      tokenSeconds: optional(Type.Integer({ minimum: 600, maximum: 2 ** 32 })),
      /** How a pod's clients reach the API server from where the job runs. */
      kubernetesApi: optional(object({ host: text(), port: text(), caData: text() }))
    })
  )
})
export type VkFile = Static<typeof VkFile>
